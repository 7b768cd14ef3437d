/* vsearch_c.h: visual search for programs in C, and for every language that can call C.
 *
 * This header is the library's only binary promise: a program built against it goes on working with
 * every later libvsearch of the same major version. Rules that hold for all of it:
 *
 * - Every function that can fail returns a vsearch_status, 0 for success, and writes what happened
 *   into `error` if that is not NULL. The caller owns the struct; nothing in it is ever freed.
 * - On failure `*out` is NULL. Every handle is freed once, by its own _free, which accepts NULL.
 * - Inputs are borrowed for the call. What a handle returns (strings, hits) lives as long as it.
 * - Strings are UTF-8 and end with a NUL.
 * - Structs with `struct_size` must have it set to sizeof(the struct); later versions only append
 *   fields, and a field that is not there, or 0 or NULL, means the default. Zero-initialise them:
 *       vsearch_search_options options = {sizeof options};
 *   In arrays of such structs every element has the struct_size of the first.
 * - Threads: one vsearch_catalog or vsearch_encoder may be used from many threads at once, except
 *   that freeing must come after everything else. Hits, records, lists and reports belong to one
 *   thread at a time.
 * - The library never prints, exits or raises a signal.
 */
#ifndef VSEARCH_C_H
#define VSEARCH_C_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define VSEARCH_API __declspec(dllimport)
#elif defined(__GNUC__)
#define VSEARCH_API __attribute__((visibility("default")))
#else
#define VSEARCH_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What went wrong. The numbers never change. */
typedef int32_t vsearch_status;
enum {
  VSEARCH_OK = 0,
  VSEARCH_INVALID_ARGUMENT = 1,
  VSEARCH_FILE_NOT_FOUND = 2,
  VSEARCH_KEY_NOT_FOUND = 3,
  VSEARCH_ALREADY_EXISTS = 4,
  VSEARCH_BAD_IMAGE = 5,
  VSEARCH_BAD_MODEL = 6,
  VSEARCH_ENCODER_MISMATCH = 7,
  VSEARCH_BUSY = 8,
  VSEARCH_CORRUPT = 9,
  VSEARCH_IO = 10,
  VSEARCH_CANCELLED = 11,
  VSEARCH_UNAVAILABLE = 12,
  VSEARCH_OUT_OF_MEMORY = 13,
  VSEARCH_INTERNAL = 14,
  VSEARCH_REFUSED = 15 /* a guard against harm said no: too many removals */
};

typedef struct vsearch_error {
  vsearch_status status;
  char message[1020]; /* names the input and the remedy; cut at a character if longer */
} vsearch_error;

/* "0.1.0" */
VSEARCH_API const char* vsearch_version(void);

/* A status's name, e.g. "bad image"; "unknown status" for another number. */
VSEARCH_API const char* vsearch_status_name(vsearch_status status);

/* Called from time to time by long work, on the calling thread. Returns 0 to go on; anything else
 * stops the work with VSEARCH_CANCELLED, keeping what was acknowledged before. */
typedef int (*vsearch_progress)(void* user, uint64_t done, uint64_t total);

/* level: 0 information, 1 warning, 2 error. Called from any thread that uses the catalogue. */
typedef void (*vsearch_log)(void* user, int level, const char* message);

/* The order of the 8-bit channels of a pixel; alpha is straight, not premultiplied. The numbers
 * never change. */
typedef int32_t vsearch_pixel_format;
enum {
  VSEARCH_PIXEL_RGB = 0,
  VSEARCH_PIXEL_BGR = 1,
  VSEARCH_PIXEL_GREY = 2,
  VSEARCH_PIXEL_RGBA = 3,
  VSEARCH_PIXEL_BGRA = 4
};

/* Borrowed 8-bit pixels, interleaved, the top row first: a decoded picture, a camera's frame.
 * Zero-initialise it. */
typedef struct vsearch_image {
  const uint8_t* data;
  uint32_t width_px;
  uint32_t height_px;
  size_t stride_bytes; /* from one row to the next; at least a row's pixels */
  vsearch_pixel_format format;
} vsearch_image;

/* ---- Encoder: pictures to embeddings -------------------------------------------------------- */

typedef struct vsearch_encoder vsearch_encoder;

/* In which numbers a network computes. Embeddings are float in any case, and those of two
 * precisions of one model may be compared. The numbers never change. */
typedef int32_t vsearch_precision;
enum {
  VSEARCH_PRECISION_AUTO =
      0, /* the fastest on this machine of those the package was measured for */
  VSEARCH_PRECISION_FP32 = 1, /* the reference */
  VSEARCH_PRECISION_BF16 = 2, /* CPU and CUDA */
  VSEARCH_PRECISION_FP16 = 3, /* CUDA only */
  VSEARCH_PRECISION_INT8 = 4  /* CPU only, and only where the package has it */
};

typedef struct vsearch_encoder_options {
  size_t struct_size;
  int32_t use_cuda;      /* 0: CPU */
  uint32_t device_index; /* which CUDA device */
  uint32_t batch_size;   /* pictures per forward pass; 0: what suits the device */
  int32_t skip_verify;   /* 0: check the package's golden pairs on load */
  vsearch_precision precision;
} vsearch_encoder_options;

/* Loads a model package. `name_or_path`: a file, or the name of an installed model; NULL: the
 * default encoder. VSEARCH_UNAVAILABLE: a precision that the package or the device does not have,
 * CUDA where there is none. */
VSEARCH_API vsearch_status vsearch_encoder_load(const char* name_or_path,
                                                const vsearch_encoder_options* options,
                                                vsearch_encoder** out, vsearch_error* error);
VSEARCH_API void vsearch_encoder_free(vsearch_encoder* encoder);

VSEARCH_API uint32_t vsearch_encoder_dim(const vsearch_encoder* encoder);
VSEARCH_API const char* vsearch_encoder_name(const vsearch_encoder* encoder);
VSEARCH_API const char* vsearch_encoder_fingerprint(const vsearch_encoder* encoder);
/* The precision in use; VSEARCH_PRECISION_AUTO only for a NULL encoder. */
VSEARCH_API vsearch_precision vsearch_encoder_precision(const vsearch_encoder* encoder);
/* 1 if vsearch_encoder_encode_text() works with this encoder, else 0. */
VSEARCH_API int32_t vsearch_encoder_has_text(const vsearch_encoder* encoder);

/* Writes one embedding per picture into `embeddings` [count x dim, row-major], which holds
 * `capacity` floats. */
VSEARCH_API vsearch_status vsearch_encoder_encode(const vsearch_encoder* encoder,
                                                  const vsearch_image* images, size_t count,
                                                  float* embeddings, size_t capacity,
                                                  vsearch_error* error);

/* The same for texts (UTF-8): embeddings in the space of the pictures. A text longer than the model
 * reads is cut. VSEARCH_UNAVAILABLE where the model knows no words. */
VSEARCH_API vsearch_status vsearch_encoder_encode_text(const vsearch_encoder* encoder,
                                                       const char* const* texts, size_t count,
                                                       float* embeddings, size_t capacity,
                                                       vsearch_error* error);

typedef struct vsearch_encode_options {
  size_t struct_size;
  vsearch_progress progress; /* counts files, the failed ones too; may be NULL */
  void* progress_user;
  int32_t exact; /* not 0: decode every JPEG in full, as the reference pipelines do, where 0 decodes
                    it at the smallest size that covers the model's input, which is faster and
                    moves an embedding by little */
  int32_t lenient; /* not 0: take what could be decoded of a damaged JPEG */
  /* Limits against files made to exhaust the host: 0 is the default, in parentheses. */
  uint64_t max_bytes;   /* of a file (256 MiB) */
  uint64_t max_pixels;  /* width * height (104,857,600) */
  uint32_t max_scans;   /* of a JPEG (100) */
  uint32_t max_time_ms; /* of decoding a JPEG (10,000) */
} vsearch_encode_options;

/* What became of the files of one vsearch_encoder_encode_files(). */
typedef struct vsearch_encode_report vsearch_encode_report;
typedef struct vsearch_encode_failure {
  size_t index; /* which of the files, counted from 0 */
  const char* path;
  vsearch_status status;
  const char* message;
} vsearch_encode_failure;

/* The same for picture files (JPEG, PNG, GIF, BMP, WebP), read and decoded ahead of the network.
 * One that cannot be read is reported and all of its row is NaN; that is no failure of the call.
 * Where the call fails, VSEARCH_CANCELLED too, `embeddings` is as before. `options` and `report`
 * may be NULL. */
VSEARCH_API vsearch_status vsearch_encoder_encode_files(const vsearch_encoder* encoder,
                                                        const char* const* paths, size_t count,
                                                        const vsearch_encode_options* options,
                                                        float* embeddings, size_t capacity,
                                                        vsearch_encode_report** report,
                                                        vsearch_error* error);
VSEARCH_API size_t vsearch_encode_report_failure_count(const vsearch_encode_report* report);
/* By ascending index; NULL if there is no such failure. */
VSEARCH_API const vsearch_encode_failure* vsearch_encode_report_failure(
    const vsearch_encode_report* report, size_t i);
VSEARCH_API void vsearch_encode_report_free(vsearch_encode_report* report);

/* ---- Catalogue: items on disk --------------------------------------------------------------- */

typedef struct vsearch_catalog vsearch_catalog;

/* Brings the file that a picture's URI names, by vsearch_sink_write(). Returns VSEARCH_OK, or why
 * it cannot, and may then say more in error->message, which is empty before. Called from several
 * threads at once; `sink` and `error` are only for this call. */
typedef struct vsearch_sink vsearch_sink;
typedef vsearch_status (*vsearch_fetch)(void* user, const char* uri, vsearch_sink* sink,
                                        vsearch_error* error);
/* Appends bytes, which are copied, to the file that is being fetched. */
VSEARCH_API vsearch_status vsearch_sink_write(vsearch_sink* sink, const void* bytes, size_t length,
                                              vsearch_error* error);

typedef struct vsearch_catalog_options {
  size_t struct_size;
  const char* encoder; /* name or file; NULL: on create the default encoder, on open the one
                          the catalogue was made with, loaded when first needed */
  vsearch_log log;     /* may be NULL */
  void* log_user;
  vsearch_progress progress; /* of rebuilding the index while opening; may be NULL */
  void* progress_user;
  const vsearch_encoder_options* encoder_options; /* how to load it; NULL: the defaults */
  vsearch_fetch fetch; /* of pictures whose path is a URI ("https://..."); NULL: they are bad */
  void* fetch_user;
  /* After so many changed pictures the index snapshot is saved in the background, so that opening
     after a crash has no more than these to make up for. 0: 20,000; UINT64_MAX: only
     vsearch_catalog_save_snapshot() and closing save it. */
  uint64_t snapshot_changes;
} vsearch_catalog_options;

/* Makes an empty catalogue in the new directory `path` and opens it. `options` may be NULL. */
VSEARCH_API vsearch_status vsearch_catalog_create(const char* path,
                                                  const vsearch_catalog_options* options,
                                                  vsearch_catalog** out, vsearch_error* error);
/* Opens a catalogue. One process at a time: another gets VSEARCH_BUSY. `options` may be NULL. */
VSEARCH_API vsearch_status vsearch_catalog_open(const char* path,
                                                const vsearch_catalog_options* options,
                                                vsearch_catalog** out, vsearch_error* error);
/* Closes it. Everything acknowledged is on disk already. */
VSEARCH_API void vsearch_catalog_free(vsearch_catalog* catalog);

typedef struct vsearch_catalog_info {
  size_t struct_size; /* set before the call */
  uint64_t items;
  uint64_t pictures;
  uint64_t generation; /* counts committed changes */
  uint64_t disk_bytes;
  uint64_t index_memory_bytes;
  uint32_t dim;
  uint32_t metric; /* 0 cosine, 1 inner product, 2 squared Euclidean */
  char encoder_name[128];
  char encoder_fingerprint[65];
  uint64_t snapshot_generation; /* the one that the index snapshot on disk holds */
} vsearch_catalog_info;

VSEARCH_API vsearch_status vsearch_catalog_get_info(const vsearch_catalog* catalog,
                                                    vsearch_catalog_info* info,
                                                    vsearch_error* error);

/* What every longer work on a catalogue takes. */
typedef struct vsearch_work_options {
  size_t struct_size;
  vsearch_progress progress; /* may be NULL */
  void* progress_user;
} vsearch_work_options;

/* ---- Items ---------------------------------------------------------------------------------- */

/* A picture's embedding comes from `embedding` if not NULL, else from the encoded file in `bytes`
 * if not NULL, else from the file at `path`. */
typedef struct vsearch_picture {
  size_t struct_size;
  const char* path;  /* kept and shown with hits; a file, or a URI for vsearch_fetch */
  const void* bytes; /* a JPEG, PNG, ... in memory */
  size_t bytes_length;
  const float* embedding; /* made by the catalogue's encoder */
  size_t embedding_dim;
  /* The part that is encoded: left, top, right and bottom in shares of the upright picture's width
     and height; all 0: the whole. */
  float crop[4];
  const char* role;   /* what the picture shows ("front"), at most 256 bytes; NULL: "" */
  int32_t keep_bytes; /* not 0: keep the file in the catalogue, so that another encoder can look at
                         it though nothing else has it */
  /* Of the encoder that made `embedding`, or NULL. If another one serves, the item is refused. */
  const char* embedding_fingerprint;
} vsearch_picture;

typedef struct vsearch_item {
  size_t struct_size;
  const char* key;                 /* 1 to 1,024 bytes */
  const vsearch_picture* pictures; /* at least one */
  size_t picture_count;
  const char* metadata; /* a JSON object; NULL: {} */
} vsearch_item;

typedef struct vsearch_add_options {
  size_t struct_size;
  vsearch_progress progress; /* counts items; may be NULL */
  void* progress_user;
} vsearch_add_options;

/* What became of the items of one vsearch_catalog_add(). */
typedef struct vsearch_add_report vsearch_add_report;
/* An item, or a picture of it, that could not be taken; it is as it was before. */
typedef struct vsearch_add_failure {
  const char* key;
  const char* path;
  vsearch_status status;
  const char* message;
} vsearch_add_failure;

/* Adds items, replacing those whose keys are present. When it returns they are on disk. An item
 * with a picture that cannot be read is left out and reported; that is no failure of the call.
 * `report` may be NULL. */
VSEARCH_API vsearch_status vsearch_catalog_add(vsearch_catalog* catalog, const vsearch_item* items,
                                               size_t count, const vsearch_add_options* options,
                                               vsearch_add_report** report, vsearch_error* error);
VSEARCH_API uint64_t vsearch_add_report_added(const vsearch_add_report* report);
VSEARCH_API uint64_t vsearch_add_report_replaced(const vsearch_add_report* report);
/* Pictures that were encoded; those that were there already, of whatever item, are not. */
VSEARCH_API uint64_t vsearch_add_report_encoded(const vsearch_add_report* report);
VSEARCH_API size_t vsearch_add_report_failure_count(const vsearch_add_report* report);
/* NULL if there is no such failure. */
VSEARCH_API const vsearch_add_failure* vsearch_add_report_failure(const vsearch_add_report* report,
                                                                  size_t i);
VSEARCH_API void vsearch_add_report_free(vsearch_add_report* report);

/* Removes items. `removed`, if not NULL, receives how many of the keys were there. */
VSEARCH_API vsearch_status vsearch_catalog_remove(vsearch_catalog* catalog, const char* const* keys,
                                                  size_t count, uint64_t* removed,
                                                  vsearch_error* error);

/* A change to the metadata of an item, merged into it as RFC 7396 says: what the JSON object
 * `changes` names is set, and removed where it is null; all else stays. */
typedef struct vsearch_metadata_patch {
  size_t struct_size;
  const char* key;
  const char* changes;
} vsearch_metadata_patch;

/* Changes metadata, all in one transaction; nothing is encoded. `patched`, if not NULL, receives
 * how many of the items were there. */
VSEARCH_API vsearch_status vsearch_catalog_patch(vsearch_catalog* catalog,
                                                 const vsearch_metadata_patch* patches,
                                                 size_t count, uint64_t* patched,
                                                 vsearch_error* error);

/* Whether there is an item `key`: *present is 0 or 1. */
VSEARCH_API vsearch_status vsearch_catalog_contains(const vsearch_catalog* catalog, const char* key,
                                                    int32_t* present, vsearch_error* error);

/* What the catalogue holds of an item, and of each of its pictures. */
typedef struct vsearch_item_record vsearch_item_record;
typedef struct vsearch_picture_info {
  uint64_t id; /* an item whose pictures are replaced gets new ones */
  const char* path;
  const char* role;
  float crop[4];            /* 0, 0, 1, 1: the whole picture */
  const char* content_hash; /* SHA-256 of the file, 64 hex digits; "" if given as an embedding */
  uint64_t kept_bytes;      /* length of the file that the catalogue keeps, or 0 */
} vsearch_picture_info;

/* VSEARCH_KEY_NOT_FOUND if there is no such item. */
VSEARCH_API vsearch_status vsearch_catalog_get(const vsearch_catalog* catalog, const char* key,
                                               vsearch_item_record** out, vsearch_error* error);
VSEARCH_API const char* vsearch_item_record_key(const vsearch_item_record* record);
/* A JSON object. */
VSEARCH_API const char* vsearch_item_record_metadata(const vsearch_item_record* record);
VSEARCH_API size_t vsearch_item_record_picture_count(const vsearch_item_record* record);
/* In the order they were given; NULL if there is no such picture. */
VSEARCH_API const vsearch_picture_info* vsearch_item_record_picture(
    const vsearch_item_record* record, size_t i);
/* Not for a record that a vsearch_item_visitor was given. */
VSEARCH_API void vsearch_item_record_free(vsearch_item_record* record);

/* Returns 0 to go on; anything else ends the walk. `record` lives until it returns. */
typedef int (*vsearch_item_visitor)(void* user, const vsearch_item_record* record);
/* Visits every item, keys ascending bytewise. Writers and searches go on meanwhile, and the visitor
 * may be one of them; an item that is changed meanwhile is seen as it was or as it is. That the
 * visitor ends the walk is no failure. */
VSEARCH_API vsearch_status vsearch_catalog_for_each(const vsearch_catalog* catalog,
                                                    vsearch_item_visitor visit, void* user,
                                                    vsearch_error* error);

/* The keys of all items, ascending bytewise. */
typedef struct vsearch_keys vsearch_keys;
VSEARCH_API vsearch_status vsearch_catalog_keys(const vsearch_catalog* catalog, vsearch_keys** out,
                                                vsearch_error* error);
VSEARCH_API size_t vsearch_keys_count(const vsearch_keys* keys);
/* NULL if there is no such key. */
VSEARCH_API const char* vsearch_keys_at(const vsearch_keys* keys, size_t i);
VSEARCH_API void vsearch_keys_free(vsearch_keys* keys);

/* ---- Fields of the metadata ----------------------------------------------------------------- */

/* What the values of a field are. The numbers never change. */
typedef int32_t vsearch_field_type;
enum {
  VSEARCH_FIELD_TEXT = 0,
  VSEARCH_FIELD_NUMBER = 1, /* integers and fractions */
  VSEARCH_FIELD_BOOLEAN = 2,
  VSEARCH_FIELD_TAGS = 3 /* an array of texts, for HAS */
};

/* Keeps an index of a field from now on: its values are of this type in all items that have it, and
 * a filter on it is answered without looking at metadata. `name` is that in a filter: a.b reaches
 * into objects. Declared already: does nothing. VSEARCH_INVALID_ARGUMENT: it is declared with
 * another type, or items have values of another type. */
VSEARCH_API vsearch_status vsearch_catalog_declare_field(vsearch_catalog* catalog, const char* name,
                                                         vsearch_field_type type,
                                                         vsearch_error* error);
/* VSEARCH_KEY_NOT_FOUND if it is not declared. */
VSEARCH_API vsearch_status vsearch_catalog_drop_field(vsearch_catalog* catalog, const char* name,
                                                      vsearch_error* error);

typedef struct vsearch_fields vsearch_fields;
typedef struct vsearch_field {
  const char* name;
  vsearch_field_type type;
} vsearch_field;

/* The declared fields, by name. */
VSEARCH_API vsearch_status vsearch_catalog_fields(const vsearch_catalog* catalog,
                                                  vsearch_fields** out, vsearch_error* error);
VSEARCH_API size_t vsearch_fields_count(const vsearch_fields* fields);
/* NULL if there is no such field. */
VSEARCH_API const vsearch_field* vsearch_fields_at(const vsearch_fields* fields, size_t i);
VSEARCH_API void vsearch_fields_free(vsearch_fields* fields);

/* ---- Search --------------------------------------------------------------------------------- */

/* What is looked for: set one of like, image_path, image_bytes, pixels.data, embedding,
 * text. */
typedef struct vsearch_query {
  size_t struct_size;
  const char* like; /* an item's key: "more like this", itself left out */
  const char* image_path;
  const void* image_bytes; /* an encoded picture */
  size_t image_bytes_length;
  vsearch_image pixels;
  const float* embedding;
  size_t embedding_dim;
  const char* text; /* words; VSEARCH_UNAVAILABLE where the model understands none */
} vsearch_query;

typedef struct vsearch_search_options {
  size_t struct_size;
  uint32_t k;        /* items wanted, at least 1: there is no default */
  uint32_t breadth;  /* of the index walk; 0: 64 */
  const char* where; /* "colour = 'red' AND price < 50"; NULL: all items */
  int32_t exact;     /* not 0: compare with every picture */
  /* The same as `where` in JSON, instead of it: {"colour": "red", "price": {"<": 50}}. A field's
     value is a scalar (equal), an array (IN), null (IS NULL) or an object of operators "=", "!=",
     "<", "<=", ">", ">=", "in", "between", "like", "has", "null", which all must hold; "$and": [],
     "$or": [] and "$not": {} combine. */
  const char* where_json;
} vsearch_search_options;

typedef struct vsearch_hits vsearch_hits;
typedef struct vsearch_hit {
  const char* key;
  float score;          /* in [0, 1] */
  float distance;       /* 1 - cosine for the cosine metric */
  const char* path;     /* of the item's nearest picture */
  const char* metadata; /* a JSON object */
  const char* role;     /* of that picture */
} vsearch_hit;

/* At most options->k items, nearest first; fewer only if fewer match. */
VSEARCH_API vsearch_status vsearch_catalog_search(const vsearch_catalog* catalog,
                                                  const vsearch_query* query,
                                                  const vsearch_search_options* options,
                                                  vsearch_hits** out, vsearch_error* error);
VSEARCH_API size_t vsearch_hits_count(const vsearch_hits* hits);
/* NULL if there is no such hit. */
VSEARCH_API const vsearch_hit* vsearch_hits_at(const vsearch_hits* hits, size_t i);
VSEARCH_API void vsearch_hits_free(vsearch_hits* hits);

/* ---- In step with the shop ------------------------------------------------------------------ */

/* Where a source keeps its items. The numbers never change. */
typedef int32_t vsearch_source_kind;
enum {
  VSEARCH_SOURCE_FILES = 0,    /* pictures, and folders with pictures in them, however deep */
  VSEARCH_SOURCE_MANIFEST = 1, /* a table: CSV, or JSON lines */
  VSEARCH_SOURCE_SQL = 2       /* a query on an SQLite database, which is only read */
};

/* How an item's key follows from where its picture lies below the folder that was named. The
 * numbers never change. */
typedef int32_t vsearch_key_rule;
enum {
  VSEARCH_KEY_PATH = 0,  /* "shoes/red.jpg" */
  VSEARCH_KEY_STEM = 1,  /* "shoes/red" */
  VSEARCH_KEY_NAME = 2,  /* "red.jpg" */
  VSEARCH_KEY_FOLDER = 3 /* "shoes": all pictures of a folder are of one item */
};

/* What a shop has, by its own account. The rows of a manifest and of a query have a key, and in the
 * columns "path", "role" and "crop" a picture; all other columns are metadata. Rows with one key
 * make one item of several pictures. */
typedef struct vsearch_source {
  size_t struct_size;
  vsearch_source_kind kind;
  vsearch_key_rule key_rule; /* of FILES */
  const char* const* paths;  /* of FILES: at least one */
  size_t path_count;
  const char* metadata;   /* of FILES: a CSV or JSON lines file about the pictures; NULL: none */
  const char* file;       /* of MANIFEST (.csv, .jsonl, .ndjson), and the database of SQL */
  const char* query;      /* of SQL: one SELECT */
  const char* key_column; /* of the rows; NULL: "key" */
} vsearch_source;

/* What becomes of a new item that is a near-duplicate of one that is there. The numbers never
 * change. */
typedef int32_t vsearch_duplicates;
enum {
  VSEARCH_DUPLICATES_KEEP = 0, /* it is added like any other */
  VSEARCH_DUPLICATES_SKIP = 1, /* it is left out, and reported */
  VSEARCH_DUPLICATES_LINK = 2  /* it is added, with the other's key as "duplicate_of" in metadata */
};

typedef struct vsearch_sync_options {
  size_t struct_size;
  vsearch_progress progress; /* counts items that differ; may be NULL */
  void* progress_user;
  int32_t dry_run;      /* not 0: only say what would be done */
  int32_t keep_missing; /* not 0: items that the source does not list stay */
  /* More removals than this share of the items are refused, before anything is done: an unmounted
     disk looks like an empty shop. 0: 0.2; 1: no such guard. */
  double max_removed_share;
  /* Put before every key of the source; items whose keys do not begin with it are left alone. So
     several sources can fill one catalogue. NULL: "" */
  const char* key_prefix;
  vsearch_duplicates duplicates;
  float duplicate_distance; /* items this near are duplicates; 0: 0.02 */
} vsearch_sync_options;

/* The numbers never change. */
typedef int32_t vsearch_sync_action;
enum {
  VSEARCH_SYNC_ADD = 0,
  VSEARCH_SYNC_REPLACE = 1, /* a picture has changed: it is encoded */
  VSEARCH_SYNC_RENAME = 2,  /* its pictures were those of an item that goes: nothing is encoded */
  VSEARCH_SYNC_PATCH = 3,   /* only metadata, roles or paths have changed */
  VSEARCH_SYNC_REMOVE = 4,
  VSEARCH_SYNC_DUPLICATE = 5 /* a new item that is left out */
};

typedef struct vsearch_sync_report vsearch_sync_report;
typedef struct vsearch_sync_change {
  vsearch_sync_action action;
  const char* key;
  const char* other; /* of RENAME the old key, of DUPLICATE the item it is like; else "" */
} vsearch_sync_change;

/* Brings the catalogue in step with `source`: adds what is new, encodes what has changed, removes
 * what is gone. A picture that cannot be read leaves its item as it was and is reported; that is no
 * failure of the call. Interrupted at any point, the next call goes on where this one stopped.
 * VSEARCH_REFUSED: more removals than options->max_removed_share. `options` and `report` may be
 * NULL. */
VSEARCH_API vsearch_status vsearch_catalog_sync(vsearch_catalog* catalog,
                                                const vsearch_source* source,
                                                const vsearch_sync_options* options,
                                                vsearch_sync_report** report, vsearch_error* error);
/* Items in the source. */
VSEARCH_API uint64_t vsearch_sync_report_listed(const vsearch_sync_report* report);
VSEARCH_API uint64_t vsearch_sync_report_unchanged(const vsearch_sync_report* report);
/* Pictures that were encoded. */
VSEARCH_API uint64_t vsearch_sync_report_encoded(const vsearch_sync_report* report);
VSEARCH_API size_t vsearch_sync_report_change_count(const vsearch_sync_report* report);
/* What was done or, on a dry run, would be, by key; NULL if there is no such change. */
VSEARCH_API const vsearch_sync_change* vsearch_sync_report_change(const vsearch_sync_report* report,
                                                                  size_t i);
VSEARCH_API size_t vsearch_sync_report_failure_count(const vsearch_sync_report* report);
/* NULL if there is no such failure. */
VSEARCH_API const vsearch_add_failure* vsearch_sync_report_failure(
    const vsearch_sync_report* report, size_t i);
VSEARCH_API size_t vsearch_sync_report_problem_count(const vsearch_sync_report* report);
/* What could not be read of the source, and why: nothing is removed then. NULL if there is no such
 * problem. */
VSEARCH_API const char* vsearch_sync_report_problem(const vsearch_sync_report* report, size_t i);
/* Not for a report that vsearch_watch_options::report was given. */
VSEARCH_API void vsearch_sync_report_free(vsearch_sync_report* report);

/* The callbacks run on the calling thread. To end the watch, which is no failure, `report` or the
 * `progress` of the vsearch_sync_options returns anything but 0; the latter is also called ten
 * times a second while nothing happens, with done = total = 0. */
typedef struct vsearch_watch_options {
  size_t struct_size;
  uint32_t quiet_ms; /* how long a folder must be quiet before what has changed in it is taken;
                        0: 300 */
  int (*report)(void* user, const vsearch_sync_report* report); /* of each run; may be NULL */
  /* A run that failed for now, and is tried again with the next change; may be NULL. */
  void (*trouble)(void* user, const vsearch_error* trouble);
  void* user;
} vsearch_watch_options;

/* vsearch_catalog_sync(), and again whenever something has changed in the folders of `source`,
 * which must be VSEARCH_SOURCE_FILES. `options` and `how` may be NULL. */
VSEARCH_API vsearch_status vsearch_catalog_watch(vsearch_catalog* catalog,
                                                 const vsearch_source* source,
                                                 const vsearch_sync_options* options,
                                                 const vsearch_watch_options* how,
                                                 vsearch_error* error);

/* ---- Near-duplicates ------------------------------------------------------------------------ */

typedef struct vsearch_duplicate_options {
  size_t struct_size;
  vsearch_progress progress; /* counts pictures; may be NULL */
  void* progress_user;
  float max_distance;  /* pictures this near each other are near-duplicates; those of the same
                          content always are; 0: 0.02 */
  uint32_t neighbours; /* of each picture that are looked at; 0: 16 */
} vsearch_duplicate_options;

typedef struct vsearch_duplicate_groups vsearch_duplicate_groups;
/* Items that look the same: each is near at least one other of its group. */
typedef struct vsearch_duplicate_group {
  const char* const* keys; /* ascending */
  size_t key_count;
  const char* first;    /* the one that was added first */
  float max_distance;   /* of the pairs that were found */
  int32_t same_content; /* 1 if all have a picture file in common, byte for byte, else 0 */
} vsearch_duplicate_group;

/* Groups of items that look the same, the largest first. `options` may be NULL. */
VSEARCH_API vsearch_status vsearch_catalog_near_duplicates(const vsearch_catalog* catalog,
                                                           const vsearch_duplicate_options* options,
                                                           vsearch_duplicate_groups** out,
                                                           vsearch_error* error);
VSEARCH_API size_t vsearch_duplicate_groups_count(const vsearch_duplicate_groups* groups);
/* NULL if there is no such group. */
VSEARCH_API const vsearch_duplicate_group* vsearch_duplicate_groups_at(
    const vsearch_duplicate_groups* groups, size_t i);
VSEARCH_API void vsearch_duplicate_groups_free(vsearch_duplicate_groups* groups);

/* ---- Editions: another encoder takes over --------------------------------------------------- */

/* The numbers never change. */
typedef int32_t vsearch_edition_state;
enum {
  VSEARCH_EDITION_SERVING = 0,  /* answers queries; a catalogue has exactly one of these */
  VSEARCH_EDITION_BUILDING = 1, /* is being made beside it, or waits to be gone on with */
  VSEARCH_EDITION_KEPT = 2      /* served before, and can again */
};

/* The embeddings of a catalogue by one encoder. */
typedef struct vsearch_edition {
  int64_t id; /* counts from 1, never given twice */
  vsearch_edition_state state;
  uint32_t dim;
  uint32_t metric;     /* as in vsearch_catalog_info */
  const char* encoder; /* the name or absolute path it was made with */
  const char* encoder_name;
  const char* encoder_fingerprint;
  uint64_t embeddings; /* pictures that have one */
} vsearch_edition;

typedef struct vsearch_editions vsearch_editions;
/* By id. */
VSEARCH_API vsearch_status vsearch_catalog_editions(const vsearch_catalog* catalog,
                                                    vsearch_editions** out, vsearch_error* error);
VSEARCH_API size_t vsearch_editions_count(const vsearch_editions* editions);
/* NULL if there is no such edition. */
VSEARCH_API const vsearch_edition* vsearch_editions_at(const vsearch_editions* editions, size_t i);
VSEARCH_API void vsearch_editions_free(vsearch_editions* editions);

/* A query whose right answers are known: set one of key and path. */
typedef struct vsearch_labelled_query {
  size_t struct_size;
  const char* key;             /* of an item, which is then left out of the answers */
  const char* path;            /* of a picture file */
  const char* const* relevant; /* keys; at least one */
  size_t relevant_count;
} vsearch_labelled_query;

/* The edition that serves and the one that would, side by side. */
typedef struct vsearch_edition_comparison {
  uint32_t k;
  uint32_t sampled;     /* pictures that were searched for in both */
  double overlap;       /* the share of the k nearest that both have, on average; 1 without any */
  uint32_t labelled;    /* queries with known answers that could be asked */
  double recall_before; /* the share of these with a relevant item among the first k */
  double recall_after;
} vsearch_edition_comparison;

/* Returns 0 to let the new edition serve; anything else refuses it. */
typedef int (*vsearch_gate)(void* user, const vsearch_edition_comparison* comparison);

typedef struct vsearch_reencode_options {
  size_t struct_size;
  vsearch_progress progress; /* counts pictures; may be NULL */
  void* progress_user;
  const char* encoder_ref; /* what the catalogue shall call the encoder from now on: a name, or an
                              absolute path; NULL: as it was loaded */
  int32_t drop_old;        /* not 0: delete the old edition, so that there is no way back */
  /* The comparison. */
  uint32_t k;                            /* 0: 10 */
  uint32_t sample;                       /* pictures to search for; 0: 200 */
  uint64_t seed;                         /* of the sample; 0: 1 */
  const vsearch_labelled_query* queries; /* with known answers */
  size_t query_count;
  /* The gate: the new edition serves only if all hold. */
  double max_missing_share;    /* pictures that cannot be encoded, as a share of all; 0: none */
  double min_overlap;          /* 0: any */
  int32_t has_max_recall_loss; /* not 0: max_recall_loss holds, else any loss is taken */
  double max_recall_loss;      /* recall_before - recall_after */
  vsearch_gate gate;           /* asked last; may be NULL */
  void* gate_user;
} vsearch_reencode_options;

typedef struct vsearch_reencode_report vsearch_reencode_report;
/* A picture that could not be encoded. */
typedef struct vsearch_missing_picture {
  uint64_t id;
  const char* key;
  const char* path;
  const char* message;
} vsearch_missing_picture;

/* Makes an edition of all embeddings by `encoder` beside the one that serves, while adds, removes
 * and searches go on, and lets it serve from one moment on, if the gate allows: that it does not is
 * no failure of the call. Interrupted or refused, the edition stays, and the next call with this
 * encoder goes on with it. The catalogue keeps what it needs of `encoder`, which may be freed.
 * `options` and `report` may be NULL. */
VSEARCH_API vsearch_status vsearch_catalog_reencode(vsearch_catalog* catalog,
                                                    const vsearch_encoder* encoder,
                                                    const vsearch_reencode_options* options,
                                                    vsearch_reencode_report** report,
                                                    vsearch_error* error);
/* Lets the edition that served last serve again, without a gate. VSEARCH_KEY_NOT_FOUND: none is
 * kept. `options` and `report` may be NULL. */
VSEARCH_API vsearch_status vsearch_catalog_rollback(vsearch_catalog* catalog,
                                                    const vsearch_work_options* options,
                                                    vsearch_reencode_report** report,
                                                    vsearch_error* error);
/* The new edition; NULL for a NULL report. */
VSEARCH_API const vsearch_edition* vsearch_reencode_report_edition(
    const vsearch_reencode_report* report);
/* 1 if it serves now, else 0. */
VSEARCH_API int32_t vsearch_reencode_report_switched(const vsearch_reencode_report* report);
/* Why it does not; "" if it does. */
VSEARCH_API const char* vsearch_reencode_report_refusal(const vsearch_reencode_report* report);
/* Pictures that were encoded. */
VSEARCH_API uint64_t vsearch_reencode_report_encoded(const vsearch_reencode_report* report);
/* Pictures whose embedding was there from an earlier run. */
VSEARCH_API uint64_t vsearch_reencode_report_reused(const vsearch_reencode_report* report);
VSEARCH_API size_t vsearch_reencode_report_missing_count(const vsearch_reencode_report* report);
/* NULL if there is no such picture. */
VSEARCH_API const vsearch_missing_picture* vsearch_reencode_report_missing(
    const vsearch_reencode_report* report, size_t i);
/* NULL for a NULL report. */
VSEARCH_API const vsearch_edition_comparison* vsearch_reencode_report_comparison(
    const vsearch_reencode_report* report);
VSEARCH_API void vsearch_reencode_report_free(vsearch_reencode_report* report);

/* Deletes an edition that is not serving. VSEARCH_KEY_NOT_FOUND, VSEARCH_INVALID_ARGUMENT (it
 * serves). */
VSEARCH_API vsearch_status vsearch_catalog_drop_edition(vsearch_catalog* catalog, int64_t id,
                                                        vsearch_error* error);

/* ---- Care ----------------------------------------------------------------------------------- */

typedef struct vsearch_check_options {
  size_t struct_size;
  vsearch_progress progress; /* counts vectors of the index; may be NULL */
  void* progress_user;
  uint32_t sample;        /* vectors of the index to search for; 0: 200 */
  uint32_t k;             /* neighbours of each that are wanted; 0: 10 */
  uint32_t breadth;       /* of these searches; 0: 64 */
  uint64_t seed;          /* of the sample; 0: 1 */
  double min_self_recall; /* less is a fault; 0: 0.9 */
} vsearch_check_options;

typedef struct vsearch_check_report vsearch_check_report;
typedef struct vsearch_check_numbers {
  uint64_t items;
  uint64_t pictures;
  uint64_t without_embedding; /* pictures the serving edition cannot find */
  uint64_t orphans;           /* rows that belong to nothing */
  uint64_t index_missing;     /* pictures that should be in the index and are not */
  uint64_t index_extra;       /* and the reverse */
  uint64_t index_differs;     /* sampled vectors that are not those of the store */
  /* The index. */
  uint64_t index_size;     /* vectors */
  double removed_share;    /* of the slots in use, those of removed vectors */
  const uint64_t* degrees; /* [degree_count]: i links on level 0 have degrees[i] vectors */
  size_t degree_count;
  uint32_t least_degree;
  uint32_t most_degree;
  double mean_degree;
  uint64_t unreachable; /* vectors to which no path of links leads */
  uint64_t duplicates;  /* vectors that are stored like another one, without the first */
  const float* mean;    /* [mean_dim] */
  size_t mean_dim;
  double spread; /* the root of the mean squared distance from the mean */
  uint32_t sampled;
  uint32_t lost;      /* sampled vectors that do not come where they belong in their own result */
  double self_recall; /* of the true k nearest of a sampled vector, the share that was found */
  double distances_per_query; /* what a search had to compare */
} vsearch_check_numbers;

/* Looks whether all is well: the database, what belongs together in it, the index against it, and
 * whether searches find what is there. The catalogue is sound if the report has no faults, which
 * are no failure of the call. `options` may be NULL. */
VSEARCH_API vsearch_status vsearch_catalog_check(const vsearch_catalog* catalog,
                                                 const vsearch_check_options* options,
                                                 vsearch_check_report** out, vsearch_error* error);
VSEARCH_API size_t vsearch_check_report_fault_count(const vsearch_check_report* report);
/* What is wrong, and the remedy; NULL if there is no such fault. */
VSEARCH_API const char* vsearch_check_report_fault(const vsearch_check_report* report, size_t i);
/* NULL for a NULL report. */
VSEARCH_API const vsearch_check_numbers* vsearch_check_report_numbers(
    const vsearch_check_report* report);
VSEARCH_API void vsearch_check_report_free(vsearch_check_report* report);

typedef struct vsearch_compact_report {
  size_t struct_size;    /* set before the call */
  uint64_t bytes_before; /* of the catalogue's directory */
  uint64_t bytes_after;
  int32_t index_rebuilt; /* 1 or 0 */
} vsearch_compact_report;

/* Gives room back: deletes what belongs to nothing, writes the database anew, and the index if
 * removals have left holes in more than a fifth of it. Needs as much room again meanwhile. Progress
 * counts pictures in the new index. `options` and `report` may be NULL. */
VSEARCH_API vsearch_status vsearch_catalog_compact(vsearch_catalog* catalog,
                                                   const vsearch_work_options* options,
                                                   vsearch_compact_report* report,
                                                   vsearch_error* error);

/* Copies the catalogue as it is at one moment into the new directory `path`, which can be opened as
 * it is, while searches and changes go on. Progress counts pages. `options` may be NULL. */
VSEARCH_API vsearch_status vsearch_catalog_backup(const vsearch_catalog* catalog, const char* path,
                                                  const vsearch_work_options* options,
                                                  vsearch_error* error);

typedef struct vsearch_export_report {
  size_t struct_size; /* set before the call */
  uint64_t items;
  uint64_t pictures;
} vsearch_export_report;

/* Writes manifest.json, items.jsonl (a line an item: key, metadata, pictures) and embeddings.npy
 * (float32 [pictures x dim], in the order of the lines) into the new directory `path`. Kept files
 * are not in it. Progress counts items. `options` and `report` may be NULL. */
VSEARCH_API vsearch_status vsearch_catalog_export(const vsearch_catalog* catalog, const char* path,
                                                  const vsearch_work_options* options,
                                                  vsearch_export_report* report,
                                                  vsearch_error* error);
/* Adds what vsearch_catalog_export() wrote, replacing items whose keys are present; no
 * picture is looked at. VSEARCH_ENCODER_MISMATCH: another encoder serves. Progress counts items.
 * `options` and `report` may be NULL. */
VSEARCH_API vsearch_status vsearch_catalog_import(vsearch_catalog* catalog, const char* path,
                                                  const vsearch_work_options* options,
                                                  vsearch_add_report** report,
                                                  vsearch_error* error);

/* Writes the index snapshot now; searches and changes go on. */
VSEARCH_API vsearch_status vsearch_catalog_save_snapshot(vsearch_catalog* catalog,
                                                         vsearch_error* error);

/* ---- Measuring ------------------------------------------------------------------------------ */

/* Text that the library has made: UTF-8, ends with a NUL. */
typedef struct vsearch_text vsearch_text;
/* NULL for a NULL text. */
VSEARCH_API const char* vsearch_text_data(const vsearch_text* text);
/* Bytes, without the NUL. */
VSEARCH_API size_t vsearch_text_size(const vsearch_text* text);
VSEARCH_API void vsearch_text_free(vsearch_text* text);

typedef struct vsearch_evaluate_options {
  size_t struct_size;
  vsearch_progress progress; /* counts pictures, of a catalogue queries; may be NULL */
  void* progress_user;
  const char* const* protocols; /* of the data set; none: all */
  size_t protocol_count;
  const char* rerank;  /* "none", "qe:10", "dba:10", "qe:10+dba:10"; NULL: none */
  const char* cache;   /* where embeddings are kept, so that a run that was stopped goes on; NULL:
                          nowhere */
  const char* html;    /* a file to write the report to; NULL: none */
  uint32_t bootstrap;  /* resamples behind the confidence intervals; 0: 1,000 */
  uint64_t seed;       /* of these; 0: 1 */
  int32_t incomplete;  /* 1: take a data set that lacks pictures as it is */
  int32_t every_query; /* 1: the figures of each query, too */
} vsearch_evaluate_options;

/* Measures an encoder on a labelled data set: of the kind `dataset` ("folder", "csv", "gpr1200",
 * ...; NULL: as the layout of `root` tells) in the folder `root`. `json`: what was measured, as
 * docs/evaluation.md tells. VSEARCH_INVALID_ARGUMENT (no such kind or protocol, with those there
 * are), VSEARCH_FILE_NOT_FOUND, VSEARCH_CORRUPT (not as published). `options` may be NULL. */
VSEARCH_API vsearch_status vsearch_evaluate(const vsearch_encoder* encoder, const char* dataset,
                                            const char* root,
                                            const vsearch_evaluate_options* options,
                                            vsearch_text** json, vsearch_error* error);

/* Measures a catalogue, as its customers find it, with the labelled queries in the file `queries`
 * (.csv or .jsonl: key or path, and relevant, the keys of the right answers with | between them).
 * Of the options only progress, html, bootstrap and seed are looked at; NULL: the defaults. */
VSEARCH_API vsearch_status vsearch_catalog_evaluate(const vsearch_catalog* catalog,
                                                    const char* queries,
                                                    const vsearch_evaluate_options* options,
                                                    vsearch_text** json, vsearch_error* error);

typedef struct vsearch_audit_options {
  size_t struct_size;
  vsearch_progress progress; /* counts encoded pictures; may be NULL */
  void* progress_user;
  const char* const* only; /* "background", "colour", "collapse", "robustness", "fairness",
                              "duplicates"; none: all */
  size_t only_count;
  const char* colour_field; /* of the data set, that names the colour; NULL: found by its name */
  const char* cache;        /* as above */
  const char* html;         /* as above */
  uint32_t sample;          /* queries that are changed and encoded again; 0: 400 */
  uint32_t gallery;         /* pictures they are looked for among, at most; 0: 4,000 */
  uint64_t seed;            /* 0: 1 */
  int32_t incomplete;       /* as above */
} vsearch_audit_options;

/* Looks for what an encoder gets wrong, on a data set as vsearch_evaluate() takes it. `json`: each
 * finding with its verdict, numbers and remedy. `options` may be NULL. */
VSEARCH_API vsearch_status vsearch_audit(const vsearch_encoder* encoder, const char* dataset,
                                         const char* root, const vsearch_audit_options* options,
                                         vsearch_text** json, vsearch_error* error);

/* ---- Training ------------------------------------------------------------------------------- */

/* How far training is. Later versions may append fields. */
typedef struct vsearch_train_state {
  uint32_t epoch; /* from 1; 0: the start model encodes pictures, `step` of `steps` */
  uint32_t epochs;
  uint64_t step; /* of this epoch */
  uint64_t steps;
  double loss; /* of the last step */
  double seconds_left;
} vsearch_train_state;
/* Called after each step, on the calling thread. Returns 0 to go on; anything else ends training:
 * the best so far is written. */
typedef int (*vsearch_train_progress)(void* user, const vsearch_train_state* state);

/* Tunes the model `model` (a package, or the name of one) on the labelled data set that
 * vsearch_evaluate() would take as `dataset` and `root`, and writes the package `output`, whose
 * embeddings no catalogue mixes with those of `model`: vsearch_catalog_reencode().
 * `options` is a JSON object with the names of docs/training.md, such as
 *   {"depth": "partial", "epochs": 8, "keep_apart": [{"dataset": "folder", "root": "test/"}]};
 * what it lacks, or NULL, means the defaults. `json`: what was found out, as docs/training.md
 * tells. VSEARCH_INVALID_ARGUMENT (an option that does not exist, with those that do; numbers that
 * make no sense; no labels; one class alone), VSEARCH_FILE_NOT_FOUND, VSEARCH_BAD_MODEL (weights
 * that are constants: export it again), VSEARCH_CANCELLED (asked to stop before anything was
 * learned), VSEARCH_OUT_OF_MEMORY, VSEARCH_UNAVAILABLE (a library without torch). `progress` may be
 * NULL. */
VSEARCH_API vsearch_status vsearch_train(const char* model, const char* dataset, const char* root,
                                         const char* output, const char* options,
                                         vsearch_train_progress progress, void* progress_user,
                                         vsearch_text** json, vsearch_error* error);

/* The same with the picture files of a catalogue, but for those it keeps itself and those that a
 * URI names. `options` says what belongs together: "label_fields", fields of the items' metadata,
 * combined; or "queries", a file as vsearch_catalog_evaluate() takes it, such as what customers
 * chose. VSEARCH_INVALID_ARGUMENT too if it says neither or both, or if not two labels have two
 * pictures. */
VSEARCH_API vsearch_status vsearch_catalog_train(const vsearch_catalog* catalog, const char* model,
                                                 const char* output, const char* options,
                                                 vsearch_train_progress progress,
                                                 void* progress_user, vsearch_text** json,
                                                 vsearch_error* error);

/* Search by words for a catalogue whose items have titles: learns a text encoder from the titles
 * and the embeddings that the catalogue holds, and writes the package `output`, the catalogue's
 * model with it. Embeddings of pictures stay the same, so that vsearch_catalog_reencode() takes the
 * package over without encoding one.
 * `options` is a JSON object with the names of docs/training.md, such as
 *   {"fields": ["title", "colour"], "model": "start.vsm.pt", "epochs": 20};
 * what it lacks, or NULL, means the defaults. `json`: what was found out. `progress` tells the
 * reading of items as epoch 0, and the encoding of texts by the sentence encoder that the option
 * "sentence" names, and may be NULL. VSEARCH_INVALID_ARGUMENT (an option that does not exist, with
 * those that do; no item has a text; too few different texts; a model with a text tower of its own,
 * or one that was learned behind another sentence encoder, or none), VSEARCH_ENCODER_MISMATCH
 * (`model` is not the catalogue's), VSEARCH_FILE_NOT_FOUND, VSEARCH_BAD_MODEL, VSEARCH_CANCELLED
 * (asked to stop before anything was learned), VSEARCH_UNAVAILABLE (a library without torch). */
VSEARCH_API vsearch_status vsearch_train_text(const vsearch_catalog* catalog, const char* output,
                                              const char* options, vsearch_train_progress progress,
                                              void* progress_user, vsearch_text** json,
                                              vsearch_error* error);

/* Teaches a small model the embeddings of the large one `teacher` (a package, or the name of one)
 * on pictures without labels, and writes the package `output`. `student`: "vit" (NULL means that)
 * or "vit:width=128,depth=12,heads=4,patch=16,size=128", a fresh one; or a package to start from.
 * `pictures`: `picture_count` paths of files, and of folders with pictures in them, however deep.
 * `options` is a JSON object with the names of docs/training.md, such as {"epochs": 100}; what it
 * lacks, or NULL, means the defaults. `json`: what was found out, as docs/training.md tells.
 * VSEARCH_INVALID_ARGUMENT (an option or a word of `student` that does not exist, with those that
 * do; numbers that make no sense; no picture), VSEARCH_FILE_NOT_FOUND, VSEARCH_BAD_IMAGE (no
 * picture can be read), VSEARCH_BAD_MODEL (no package; a student whose weights are constants),
 * VSEARCH_CANCELLED (asked to stop before anything was learned), VSEARCH_OUT_OF_MEMORY,
 * VSEARCH_UNAVAILABLE (a library without torch). `progress` may be NULL. */
VSEARCH_API vsearch_status vsearch_distill(const char* teacher, const char* student,
                                           const char* const* pictures, size_t picture_count,
                                           const char* output, const char* options,
                                           vsearch_train_progress progress, void* progress_user,
                                           vsearch_text** json, vsearch_error* error);

#ifdef __cplusplus
}
#endif

#endif /* VSEARCH_C_H */
