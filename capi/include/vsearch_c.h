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
 *   that freeing must come after everything else. Hits and reports belong to one thread at a time.
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
  VSEARCH_INTERNAL = 14
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

typedef struct vsearch_catalog_options {
  size_t struct_size;
  const char* encoder; /* name or file; NULL: on create the default encoder, on open the one
                          the catalogue was made with, loaded when first needed */
  vsearch_log log;     /* may be NULL */
  void* log_user;
  vsearch_progress progress; /* of rebuilding the index while opening; may be NULL */
  void* progress_user;
  const vsearch_encoder_options* encoder_options; /* how to load it; NULL: the defaults */
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
} vsearch_catalog_info;

VSEARCH_API vsearch_status vsearch_catalog_get_info(const vsearch_catalog* catalog,
                                                    vsearch_catalog_info* info,
                                                    vsearch_error* error);

/* A picture's embedding comes from `embedding` if not NULL, else from the encoded file in `bytes`
 * if not NULL, else from the file at `path`. */
typedef struct vsearch_picture {
  size_t struct_size;
  const char* path;  /* kept and shown with hits */
  const void* bytes; /* a JPEG, PNG, ... in memory */
  size_t bytes_length;
  const float* embedding; /* made by the catalogue's encoder */
  size_t embedding_dim;
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

/* ---- Search --------------------------------------------------------------------------------- */

/* What is looked for: set one of like, image_path, image_bytes, pixels.data, embedding. */
typedef struct vsearch_query {
  size_t struct_size;
  const char* like; /* an item's key: "more like this", itself left out */
  const char* image_path;
  const void* image_bytes; /* an encoded picture */
  size_t image_bytes_length;
  vsearch_image pixels;
  const float* embedding;
  size_t embedding_dim;
} vsearch_query;

typedef struct vsearch_search_options {
  size_t struct_size;
  uint32_t k;        /* items wanted, at least 1: there is no default */
  uint32_t breadth;  /* of the index walk; 0: 64 */
  const char* where; /* "colour = 'red' AND price < 50"; NULL: all items */
  int32_t exact;     /* not 0: compare with every picture */
} vsearch_search_options;

typedef struct vsearch_hits vsearch_hits;
typedef struct vsearch_hit {
  const char* key;
  float score;          /* in [0, 1] */
  float distance;       /* 1 - cosine for the cosine metric */
  const char* path;     /* of the item's nearest picture */
  const char* metadata; /* a JSON object */
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

#ifdef __cplusplus
}
#endif

#endif /* VSEARCH_C_H */
