/* What files are that somebody may take for a safetensors file: told by their first bytes, with what to do. */
#include <string.h>

#include "io/weights/safetensors.h"

/* PyTorch's own files are programs for Python's unpickler; what they hold is for PyTorch to say. */
static lk_status fail_pickle(const char *path, const char *what)
{
    return LK_FAIL(LK_ERR_CHECKPOINT,
                   "%s: this is %s, as torch.save() writes it, and only PyTorch can read that; with this script it "
                   "makes a safetensors file of it, `python script.py IN.pt OUT.safetensors`:\n\n"
                   "import sys\n"
                   "import torch\n"
                   "from safetensors.torch import save_file\n\n"
                   "state = torch.load(sys.argv[1], map_location=\"cpu\", weights_only=True)\n"
                   "for key in (\"state_dict\", \"model_state_dict\", \"model\"):  # of training loops that save more\n"
                   "    state = state.get(key, state)\n"
                   "tensors = {name: t.clone().contiguous() for name, t in state.items() if torch.is_tensor(t)}\n"
                   "save_file(tensors, sys.argv[2], metadata={\"format\": \"pt\"})\n", path, what);
}

lk_status lk_safetensors_recognize(const char *path, const unsigned char *head, size_t nbytes)
{
    static const unsigned char zip[] = {'P', 'K', 3, 4}, hdf5[] = {0x89, 'H', 'D', 'F'};
    enum { PICKLE = 0x80, FIRST_PROTOCOL = 2, LAST_PROTOCOL = 5 };

    if (nbytes > sizeof zip && memcmp(head, zip, sizeof zip) == 0) return fail_pickle(path, "an archive of pickles");
    if (nbytes > 2 && head[0] == PICKLE && head[1] >= FIRST_PROTOCOL && head[1] <= LAST_PROTOCOL)
        return fail_pickle(path, "a pickle");
    if (nbytes > sizeof hdf5 && memcmp(head, hdf5, sizeof hdf5) == 0)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s: this is an HDF5 file; a checkpoint is named by its folder, and others' "
                       "weights are read from safetensors", path);
    if (nbytes <= LK_SAFETENSORS_LENGTH_BYTES)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s: %zu bytes are no safetensors file, which begins with 8 bytes of length "
                       "and a header", path, nbytes);
    return LK_FAIL(LK_ERR_CHECKPOINT, "%s: is no safetensors file: its byte 8 is 0x%02x, where the header begins with "
                   "{", path, head[LK_SAFETENSORS_LENGTH_BYTES]);
}
