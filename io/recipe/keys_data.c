/* Keys of the section data. */
#define LK_OWNER lk_recipe
#include "io/recipe/keys.h"

static const cyaml_strval_t data_words[] = WORDS(LK_DATA_LIST);
static const cyaml_strval_t missing_words[] = WORDS(LK_MISSING_LIST);
static const cyaml_strval_t standardize_words[] = WORDS(LK_STANDARDIZE_LIST);

enum { MOST_DEGREE = 1000 };

#define KIND_AND_BLANK(id, word, read) word " "
#define FILES LK_DATA_FILES_LIST(KIND_AND_BLANK)
#define GENERATORS LK_DATA_GENERATORS_LIST(KIND_AND_BLANK)
#define DATA_KEYS(X)                                                                                                 \
    X("kind", WORD(data.kind, data_words), NEEDED,                                                                   \
      HELP("csv, hdf5: tables, hdf5 images too; idx: MNIST's format; regression: scikit-learn's make_regression; "   \
           "polynomial: y = sum of w_j x_j^degree + noise"))                                                         \
    X("train", TEXT(data.train), A_PATH, NEEDED, ONLY(FILES), HELP("file, counted from the recipe's folder"))        \
    X("validation", TEXT(data.validation), A_PATH, ONLY(FILES), HELP("file of the validation part"))                 \
    X("validation_fraction", REAL(data.validation_fraction), FROM_BELOW(0, 1), DEFAULT("0"), ONLY(FILES),            \
      HELP("of the training file, chosen by seed, where there is no validation file"))                               \
    X("train_labels", TEXT(data.train_labels), A_PATH, NEEDED, ONLY("idx"), HELP("file of the labels"))              \
    X("validation_labels", TEXT(data.validation_labels), A_PATH, ONLY("idx"), HELP("file of their labels"))          \
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
    X("standardize", WORD(data.standardize, standardize_words), DEFAULT("false"), ONLY("csv hdf5 " GENERATORS),      \
      HELP("to mean 0 and deviation 1 by the training part's statistics, which checkpoints keep"))                   \
    X("pixel_mean", REAL(data.pixel_mean), ANY, DEFAULT("0"), ONLY("idx"), HELP("taken off after division by 255"))  \
    X("pixel_std", REAL(data.pixel_std), ABOVE(0), DEFAULT("1"), ONLY("idx"), HELP("then divided by"))               \
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
    X("drop_last", TRUTH(data.drop_last), DEFAULT("false"), HELP("leave out a last smaller batch"))                  \
    X("shuffle", TRUTH(data.shuffle), DEFAULT("true"), HELP("the training part, anew each epoch"))

TABLES(lk_data, DATA_KEYS)
