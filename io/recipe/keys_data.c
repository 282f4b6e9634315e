/* Keys of the section data. */
#define LK_OWNER lk_recipe
#include "io/recipe/keys.h"

static const cyaml_strval_t data_words[] = WORDS(LK_DATA_LIST);
static const cyaml_strval_t missing_words[] = WORDS(LK_MISSING_LIST);
static const cyaml_strval_t label_words[] = WORDS(LK_LABEL_LIST);
static const cyaml_strval_t tokenizer_words[] = WORDS(LK_TOKENIZER_LIST);
static const cyaml_strval_t standardize_words[] = WORDS(LK_STANDARDIZE_LIST);

enum { MOST_DEGREE = 1000, MOST_THREADS = 64, MOST_STEPS = 1 << 16, MOST_TOKENS = 1 << 16, MOST_BUCKETS = 1 << 16 };

#define KIND_AND_BLANK(id, word, read) word " "
#define FILES LK_DATA_FILES_LIST(KIND_AND_BLANK)
#define GENERATORS LK_DATA_GENERATORS_LIST(KIND_AND_BLANK)
#define BYTES "idx cifar10 cifar100 images" /* images that are bytes */
#define DATA_KEYS(X)                                                                                                 \
    X("kind", WORD(data.kind, data_words), NEEDED,                                                                   \
      HELP("csv, hdf5: tables, hdf5 images too; idx: MNIST's format; cifar10, cifar100: their binary versions; "     \
           "images: a folder of JPEG and PNG files for each class; pairs: sentences and their translations; "        \
           "tokens: running text; "                                                                                  \
           "regression: scikit-learn's make_regression; "                                                            \
           "polynomial: y = sum of w_j x_j^degree + noise"))                                                         \
    X("train", FILE_NAMES(data.train_files), A_PATH, ONE_OR_MORE, NEEDED, ONLY(FILES),                               \
      HELP("one behind the other, counted from the recipe's folder; csv, idx, cifar and pairs may be packed (gz, "   \
           "xz); images: folders"))                                                                                  \
    X("validation", FILE_NAMES(data.validation_files), A_PATH, ONE_OR_MORE, ONLY(FILES),                             \
      HELP("of the validation part"))                                                                                \
    X("validation_fraction", REAL(data.validation_fraction), FROM_BELOW(0, 1), DEFAULT("0"), ONLY(FILES),            \
      HELP("of the training file, chosen by seed, where there is no validation file; pairs: by their source "        \
           "sentences, so that no sentence is in both parts; tokens: the text's end"))                               \
    X("train_labels", FILE_NAMES(data.train_labels_files), A_PATH, ONE_OR_MORE, NEEDED, ONLY("idx"),                 \
      HELP("of the labels, one for each of images"))                                                                 \
    X("validation_labels", FILE_NAMES(data.validation_labels_files), A_PATH, ONE_OR_MORE, ONLY("idx"),               \
      HELP("of their labels"))                                                                                       \
    X("target", TEXT(data.target), ONLY("csv hdf5"), DERIVED("hdf5: y"),                                             \
      HELP("csv (needed): a column by its header, or by number from 0; hdf5: a data set"))                           \
    X("features", TEXT(data.features), DEFAULT("x"), ONLY("hdf5"), HELP("a data set; images as N, C, H, W"))         \
    X("header", TRUTH(data.header), DEFAULT("true"), ONLY("csv"), HELP("the first line names the columns"))          \
    X("delimiter", TEXT(data.delimiter), DEFAULT(","), ONLY("csv"),                                                  \
      HELP("a character, `tab`, or `space` for runs of blanks"))                                                     \
    X("decimal", TEXT(data.decimal), DEFAULT("."), ONLY("csv"), HELP("the sign in numbers: a point or a comma"))     \
    X("comment", TEXT(data.comment), ONLY("csv"), HELP("how lines begin that are left out"))                         \
    X("missing", WORD(data.missing, missing_words), DEFAULT("error"), ONLY("csv"),                                   \
      HELP("what becomes of a row with an empty cell; mean and median are the training part's"))                     \
    X("missing_values", TEXTS(data.missing_values), ONLY("csv"),                                                     \
      HELP("further spellings of an empty cell: [NA, nan]"))                                                         \
    X("categorical", TEXTS(data.categorical), ONLY("csv"),                                                           \
      HELP("columns of words, one-hot by the sorted values; the target: labels that are words"))                     \
    X("ignore", TEXTS(data.ignore), ONLY("csv"), HELP("columns left out"))                                           \
    X("label", WORD(data.label, label_words), DEFAULT("fine"), ONLY("cifar100"),                                     \
      HELP("which of a record's two: of 100 classes, or of their 20 superclasses"))                                  \
    X("standardize", WORD(data.standardize, standardize_words), DEFAULT("false"), ONLY("csv hdf5 " GENERATORS),      \
      HELP("to mean 0 and deviation 1 by the training part's statistics, which checkpoints keep"))                   \
    X("examples", WHOLE(data.examples), AT_LEAST(0), DEFAULT("0"), ONLY("pairs"),                                    \
      HELP("of each training file the first so many pairs; 0: all"))                                                 \
    X("steps", WHOLE(data.steps), FROM_TO(0, MOST_STEPS), DEFAULT("0"), ONLY("pairs"),                               \
      HELP("words (or byte pairs) of every sentence, `<eos>` among them: longer ones are cut, shorter ones filled "  \
           "up; 0: a lane is as long as its longest sentence"))                                                      \
    X("min_freq", WHOLE(data.min_freq), AT_LEAST(1), DEFAULT("2"), ONLY("pairs"),                                    \
      HELP("of tokenizer words: what the training part has less often becomes `<unk>`"))                             \
    X("lowercase", TRUTH(data.lowercase), DEFAULT("true"), ONLY("pairs"), HELP("letters become small"))              \
    X("sequence", WHOLE(data.sequence), FROM_TO(1, MOST_STEPS), NEEDED, ONLY("tokens"),                              \
      HELP("tokens in a sample: sample i begins at token i * sequence"))                                             \
    X("tokenizer", WORD(data.tokenizer, tokenizer_words), DEFAULT("none"), OWN_DEFAULT({"pairs", "words"}),          \
      ONLY("tokens pairs"), DERIVED("none, of pairs words"),                                                         \
      HELP("tokens: how text becomes tokens: gpt2 (by a list of merges), chars, bytes; none: the files hold tokens, " \
           "as llm.c's do.  pairs: words, or bpe, byte pairs that both languages share"))                            \
    X("merges", TEXT(data.merges), A_PATH, ONLY("tokens pairs"),                                                     \
      HELP("of tokenizer gpt2 (needed) or bpe: a list as GPT-2's vocab.bpe; checkpoints of bpe keep it, of gpt2 they " \
           "do not, and `generate` reads the file again.  Of files of tokens: what `generate` writes them by"))      \
    X("vocabulary", WHOLE(data.vocabulary), FROM_TO(1, MOST_TOKENS), OWN_DEFAULT({"tokens", "50257"}),               \
      ONLY("tokens pairs"), DERIVED("50257, of pairs none"),                                                         \
      HELP("of files of tokens: all are below it.  Of tokenizer bpe without merges: so many tokens, 256 bytes among " \
           "them, are learned from the training part"))                                                              \
    X("pixel_mean", REAL(data.pixel_mean), ANY, DERIVED("0"), ONLY(BYTES),                                           \
      HELP("taken off after division by 255; bytes of hdf5 stay 0 to 255 unless transforms have a normalize"))       \
    X("pixel_std", REAL(data.pixel_std), ABOVE(0), DERIVED("1"), ONLY(BYTES), HELP("then divided by"))               \
    X("transforms", LIST_OF(data.transforms.transform, data.transforms.n, lk_transform_entry),                       \
      .rules = lk_transform_rules, ONLY("hdf5 " BYTES),                                                              \
      HELP("of images, one after another: {kind: random_crop, padding: 4}, {kind: hflip, p: 0.5}, "                  \
           "{kind: normalize, mean: [...], std: [...]}; see Transforms below"))                           \
    X("validation_transforms", LIST_OF(data.validation_transforms.transform, data.validation_transforms.n,           \
      lk_transform_entry), .rules = lk_transform_rules, ONLY("hdf5 " BYTES), DERIVED("transforms without chance"),   \
      HELP("the same for evaluation and prediction"))                                                                \
    X("memory", WHOLE(data.memory), FROM_TO(0, 1 << 30), DEFAULT("0"), ONLY("hdf5"),                                 \
      HELP("MiB a worker has for samples; more are read as they are wanted, in blocks, and shuffled in windows of "  \
           "blocks: that order, and so the bits, depend on it; 0: no limit"))                                        \
    X("shuffle_buffer", WHOLE(data.shuffle_buffer), AT_LEAST(0), DEFAULT("0"), ONLY("hdf5"),                         \
      HELP("samples that are shuffled together where they do not fit into `memory`; 0: as many as fit twice"))       \
    X("threads", WHOLE(data.threads), FROM_TO(0, MOST_THREADS), DEFAULT("0"),                                        \
      HELP("that put batches together ahead of time; 0: one, where it is worth that"))                               \
    X("samples", WHOLE(data.samples), AT_LEAST(1), NEEDED, ONLY(GENERATORS), HELP("of the training part"))           \
    X("validation_samples", WHOLE(data.validation_samples), AT_LEAST(0), DEFAULT("0"), ONLY(GENERATORS),             \
      HELP("of the validation part"))                                                                                \
    X("n_features", WHOLE(data.n_features), A_SIZE, NEEDED, ONLY("regression"), HELP("inputs of a sample"))          \
    X("n_informative", WHOLE(data.n_informative), A_SIZE, ONLY("regression"), DERIVED("at most 10"),                 \
      HELP("inputs that the target depends on"))                                                                     \
    X("noise", REAL(data.noise), AT_LEAST(0), DEFAULT("0"), ONLY(GENERATORS), HELP("deviation added to the target")) \
    X("weights", REALS(data.weights, data.n_weights, 1), ANY, NEEDED, ONLY("polynomial"), HELP("w_j, one an input")) \
    X("degree", WHOLE(data.degree), FROM_TO(0, MOST_DEGREE), DEFAULT("1"), ONLY("polynomial"), HELP("of every term")) \
    X("seed", COUNTER(data.seed), AT_LEAST(0), DERIVED("run.seed"), HELP("of generators and validation_fraction"))   \
    X("buckets", WHOLE(data.buckets), FROM_TO(0, MOST_BUCKETS), DEFAULT("0"), ONLY("pairs"),                         \
      HELP("training batches whose samples are sorted by length together, so that those of like length share a "     \
           "batch and less is filled up; 0: none"))                                                                  \
    X("drop_last", TRUTH(data.drop_last), DEFAULT("false"), HELP("leave out a last smaller batch"))                  \
    X("shuffle", TRUTH(data.shuffle), DEFAULT("true"), HELP("the training part, anew each epoch"))

TABLES(lk_data, DATA_KEYS)
