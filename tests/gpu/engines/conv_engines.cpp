/*
 * Which engine of cuDNN does which convolution on an H100 and an H200, asked of the library that is installed,
 * without a device: the code that chooses is the CUDA engine's own (conv_plan.cu, conv_choose.cu, conv_graph.cu),
 * told of a device by its properties (h100.json, h200.json; README.md says where they are from).
 *
 *     conv_engines FOLDER             checks rules, and compares with FOLDER/pins.txt
 *     conv_engines FOLDER --device    the same for the first device that is there, and prints what it says of itself
 *     conv_engines FOLDER --write     rewrites the pins: after a change of the rules, or for another version of cuDNN
 *
 * Rules hold for every version: all networks' layers have an engine, on every device; it says that it repeats its
 * bits, is not one that the rules leave out, and its workspace is within the limit.  Pins belong to the version that
 * the file names; with another one, or another card, they are not compared, and it says so.
 *
 * Status: 0 as it should be, 1 not, 77 there is no device, or the library is too old to be asked.
 */
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "engine/cuda/conv2d.h"
#include "engine/cuda/conv_cudnn.h"
#include "tests/gpu/engines/networks.h"

using std::string;

enum { SKIPPED = 77 };
static const char *const devices[] = {"h100", "h200"};

static string folder;
static int n_failed;

static string text(const char *format, ...) __attribute__((format(printf, 1, 2)));
static string text(const char *format, ...)
{
    char line[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    return line;
}

static void complain(const string &what)
{
    printf("FAILED: %s\n", what.c_str());
    n_failed++;
}

/* ------------------------------------------------------------------- device */

static dnn_pile device_pile;
static cudnnBackendDescriptor_t device;

/* By its JSON, or by its number. */
static cudnnStatus_t describe(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t n,
                              const void *what)
{
    dnn_free(&device_pile);
    DNN_TRY(dnn_new(&device_pile, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &device));
    DNN_TRY(dnn_set(device, name, type, n, what));
    return cudnnBackendFinalize(device);
}

static bool describe_by_file(const string &path)
{
    std::ifstream file(path);
    const string json(std::istreambuf_iterator<char>(file), {});

    return describe(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)json.size() + 1,
                    json.c_str()) == CUDNN_STATUS_SUCCESS;
}

/* What cuDNN knows of the first device, "" where there is none. */
static string describe_what_is_there()
{
    const int32_t first = 0;
    char json[4096] = "";
    int64_t n = 0;

    if (describe(CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32, 1, &first) != CUDNN_STATUS_SUCCESS) return "";
    cudnnBackendGetAttribute(device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, sizeof json - 1, &n,
                             json);
    return json[0] ? json : "it does not say";
}

/* -------------------------------------------- the seam of conv.h, without runs */

/* The layer being asked for, in words, and what was chosen for its pieces so far. */
static string layer_text, chosen;

struct cuda_conv {
    dnn_pile pile;
    dnn_choice choice;
};

static string notes_of(const dnn_choice &c)
{
    static const char *const names[] = {"tensor_core",      "down_convert", "reduced_reduction", "fft",
                                        "nondeterministic", "winograd",     "winograd_4x4",      "winograd_6x6",
                                        "winograd_13x13",   "strict_nan"};
    string all;

    for (unsigned note = 0; note < 32; note++) {
        if (!(c.numerical >> note & 1)) continue;
        all += all.empty() ? ", " : " ";
        all += note < std::size(names) ? names[note] : "new_note";
    }
    return all;
}

/* ", 2=5 13=1": the engine's settings, by the number of the knob. */
static string knobs_of(const dnn_choice &c)
{
    string all;

    for (int i = 0; i < c.n_knobs; i++)
        all += text("%s %d=%lld", i == 0 ? "," : "", (int)c.knobs[i].type, (long long)c.knobs[i].value);
    return all;
}

/* In words of its own, not conv_choose.cu's: else a slip there would be none here. */
static void check_rules(const cuda_conv_spec *s, const dnn_choice &c)
{
    const string notes = notes_of(c), which = layer_text + text(": engine %lld", (long long)c.engine);

    for (const char *bad : {"down_convert", "reduced_reduction", "fft", "nondeterministic", "winograd", "new_note"})
        if (notes.find(bad) != string::npos) complain(which + ": " + bad);
    if (!s->bf16 && !s->tf32 && notes.find("tensor_core") != string::npos) complain(which + ": tensor cores in fp32");
    if (s->pass != CUDA_FORWARD && c.engine == 0) complain(which + ": may add in any order");
    if (c.behaviour >> CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION & 1) complain(which + ": is compiled when asked for");
    if (c.workspace < 0 || (uint64_t)c.workspace > s->most_workspace)
        complain(which + text(": %lld bytes of workspace", (long long)c.workspace));
}

lk_status cuda_conv_new(cuda_ctx *, const cuda_conv_spec *spec, cuda_conv **out)
{
    cuda_conv *conv = new cuda_conv();
    cudnnBackendDescriptor_t graph;

    *out = NULL;
    cudnnStatus_t status = dnn_graph(&conv->pile, spec, &graph);
    if (status == CUDNN_STATUS_SUCCESS) status = dnn_choose(&conv->pile, spec, graph, device, &conv->choice);
    if (status != CUDNN_STATUS_SUCCESS) {
        char why[256] = "";
        cudnnGetLastErrorString(why, sizeof why);
        cuda_conv_free(&conv);
        return dnn_has_none(status) ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "%s: %s", cudnnGetErrorString(status), why);
    }
    const dnn_choice &c = conv->choice;
    check_rules(spec, c);
    chosen += text("; %lld images%s", (long long)spec->shape.N, spec->add ? " added" : "") +
              text(": engine %lld", (long long)c.engine) + knobs_of(c) +
              text(", workspace %lld", (long long)c.workspace) + notes_of(c);
    *out = conv;
    return LK_OK;
}

void cuda_conv_free(cuda_conv **conv)
{
    if (*conv) dnn_free(&(*conv)->pile);
    delete *conv;
    *conv = NULL;
}

size_t cuda_conv_workspace(const cuda_conv *conv) { return (size_t)conv->choice.workspace; }

/* Of weights.cu, which is not here: parameters begin at lines of the arena. */
uint32_t cuda_weight_alignment(const cuda_weight *) { return cuda_alignment_of(0); }

/* ---------------------------------------------------------------------- ask */

static string words_of(const layer &l, lk_precision precision, cuda_pass pass)
{
    static const char *const passes[] = {"forward", "grad_x", "grad_w"}, *const precisions[] = {"fp32", "tf32", "bf16"};
    const conv_shape &v = l.shape;
    const int p = precision == LK_FP32 ? 0 : precision == LK_TF32 ? 1 : 2;

    return text("%s %s N %lld, %lldx%lldx%lld, %lld of %lldx%lld, stride %lld, padding %lld%s", precisions[p],
                passes[pass], (long long)v.N, (long long)v.H, (long long)v.W, (long long)v.I, (long long)v.O,
                (long long)v.KH, (long long)v.KW, (long long)v.stride_h, (long long)v.padding_h,
                l.bias && pass == CUDA_FORWARD ? ", bias" : "");
}

/* As conv2d.cu's make() fills it; all tensors begin at lines. */
static conv unplanned(const layer &l, lk_precision precision, cuda_pass pass)
{
    conv s = {};

    s.pass = pass;
    s.shape = l.shape;
    s.bf16 = precision == LK_BF16;
    s.b.at.present = l.bias && pass == CUDA_FORWARD;
    s.packed = cuda_weight_lies_packed(conv_group_in(&l.shape), l.shape.KH * l.shape.KW);
    return s;
}

static string answer(const layer &l, lk_precision precision, cuda_pass pass)
{
    conv s = unplanned(l, precision, pass);

    layer_text = words_of(l, precision, pass);
    chosen.clear();
    if (cuda_conv_plan(&s, precision) != LK_OK) complain(layer_text + ": " + lk_error_message());
    if (s.direct) complain(layer_text + ": no engine");
    const string first = s.bias_first ? "bias first" : "";
    cuda_conv_unplan(&s);
    return first + (first.empty() && chosen.size() > 2 ? chosen.substr(2) : chosen);
}

/* Layers in words -> answers, in the order of asking. */
typedef std::vector<std::pair<string, string>> answers;

static answers ask()
{
    answers all;

    for (const layer &l : layers_of_networks())
        for (const lk_precision precision : {LK_FP32, LK_TF32, LK_BF16})
            for (const cuda_pass pass : {CUDA_FORWARD, CUDA_GRAD_X, CUDA_GRAD_W})
                all.push_back({words_of(l, precision, pass), answer(l, precision, pass)});
    return all;
}

static answers ask_for(const string &name)
{
    if (describe_by_file(folder + "/" + name + ".json")) return ask();
    complain(name + ".json is not taken for a device");
    return {};
}

/* --------------------------------------------------------------------- pins */

static string version()
{
    const size_t v = cudnnGetVersion();

    return text("cuDNN %zu.%zu.%zu", v / 10000, v % 10000 / 100, v % 100);
}

/* A line for an answer that all devices give, else a line for each. */
static void write_pins()
{
    const answers first = ask_for(devices[0]), second = ask_for(devices[1]);
    std::ofstream file(folder + "/pins.txt");

    file << version() << "\n"
         << "# Engines that conv_engines.cpp found; rewrite it with: build/tests/gpu/engines/conv_engines "
            "tests/gpu/engines --write\n"
         << "# device, precision, pass, images of a lane, layer -> images of a piece: engine, knobs, "
            "workspace in bytes, notes\n";
    for (size_t i = 0; i < first.size() && i < second.size(); i++) {
        const bool alike = first[i].second == second[i].second;
        file << (alike ? "both" : devices[0]) << " " << first[i].first << " -> " << first[i].second << "\n";
        if (!alike) file << devices[1] << " " << second[i].first << " -> " << second[i].second << "\n";
    }
}

/* The lines that speak of this device, without its name; none where they are another version's. */
static std::vector<string> pins_of(const string &name)
{
    std::ifstream file(folder + "/pins.txt");
    std::vector<string> pins;
    string line, whose;

    std::getline(file, line);
    if (line != version()) {
        printf("this is %s: pins of %s were not compared\n", version().c_str(), line.c_str());
        return pins;
    }
    while (file >> whose && std::getline(file >> std::ws, line))
        if (whose == "both" || whose == name) pins.push_back(line);
    if (pins.empty()) complain("pins.txt has nothing of " + name);
    return pins;
}

static void compare(const string &name, const answers &got)
{
    const std::vector<string> pins = pins_of(name);

    printf("%s: %zu answers, %zu pins\n", name.c_str(), got.size(), pins.size());
    if (pins.empty()) return;
    if (pins.size() != got.size()) complain(text("%zu answers, want %zu", got.size(), pins.size()));
    for (size_t i = 0; i < pins.size() && i < got.size(); i++) {
        const string line = got[i].first + " -> " + got[i].second;
        if (line != pins[i]) complain(name + "\n    got  " + line + "\n    want " + pins[i]);
    }
}

static int compare_what_is_there()
{
    const string json = describe_what_is_there();

    if (json.empty()) {
        printf("skipped: no device\n");
        return SKIPPED;
    }
    printf("%s\n", json.c_str());
    const answers got = ask();
    if (json.find("H100") != string::npos) compare("h100", got);
    else if (json.find("H200") != string::npos) compare("h200", got);
    else printf("%zu answers, which no pins are for\n", got.size());
    return 0;
}

int main(int n_arguments, char **arguments)
{
    const string mode = n_arguments > 2 ? arguments[2] : "";
    int status = 0;

    if (n_arguments < 2) return 1;
    folder = arguments[1];
    if (cudnnGetVersion() < CUDNN_OLDEST) {
        printf("skipped: %s is too old for the CUDA engine, which needs 9.15\n", version().c_str());
        return SKIPPED;
    }
    if (mode == "--write") write_pins();
    else if (mode == "--device") status = compare_what_is_there();
    else for (const char *name : devices) compare(name, ask_for(name));
    dnn_free(&device_pile);
    printf("%s, %d failed\n", version().c_str(), n_failed);
    return n_failed > 0 ? 1 : status;
}
