/* Encoding through the C interface, with the default encoder. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

static const vsearch_encoder_options quick = {
    .struct_size = sizeof quick, .skip_verify = 1, .precision = VSEARCH_PRECISION_FP32};

static void test_encode(const vsearch_encoder* encoder) {
  const uint32_t dim = vsearch_encoder_dim(encoder);
  const size_t capacity = (size_t)PICTURE_COUNT * dim;
  float* from_pixels = malloc(capacity * sizeof(float));
  float* from_files = malloc(capacity * sizeof(float));
  /* A row that is longer than its pixels: the gap must not be read. */
  enum { STRIDE_BYTES = PICTURE_SIDE_PX * 3 + 5 };
  static uint8_t pixels[PICTURE_COUNT][PICTURE_SIDE_PX * STRIDE_BYTES];
  uint8_t dense[PICTURE_SIDE_PX * PICTURE_SIDE_PX * 3];
  vsearch_image images[PICTURE_COUNT] = {{0}};
  const char* paths[PICTURE_COUNT];

  for (int i = 0; i < PICTURE_COUNT; ++i) {
    fill_picture(i, dense);
    memset(pixels[i], 255 * (i % 2), sizeof pixels[i]);
    for (int y = 0; y < PICTURE_SIDE_PX; ++y) {
      memcpy(pixels[i] + y * STRIDE_BYTES, dense + y * PICTURE_SIDE_PX * 3,
             (size_t)PICTURE_SIDE_PX * 3);
    }
    images[i].data = pixels[i];
    images[i].width_px = PICTURE_SIDE_PX;
    images[i].height_px = PICTURE_SIDE_PX;
    images[i].stride_bytes = STRIDE_BYTES;
    paths[i] = temp_path(picture_name(i));
    write_bmp(i, paths[i]);
  }

  CHECK_OK(vsearch_encoder_encode(encoder, images, PICTURE_COUNT, from_pixels, capacity, &error));
  CHECK_OK(vsearch_encoder_encode_files(encoder, paths, PICTURE_COUNT, NULL, from_files, capacity,
                                        NULL, &error));
  float largest = 0;
  for (size_t i = 0; i < capacity; ++i) {
    CHECK_NEAR(from_pixels[i], from_files[i], 1e-4F);
    largest = fmaxf(largest, fabsf(from_pixels[i]));
  }
  CHECK(largest > 0);

  CHECK_OK(vsearch_encoder_encode(encoder, NULL, 0, NULL, 0, &error));
  CHECK_FAILS(
      vsearch_encoder_encode(encoder, images, PICTURE_COUNT, from_pixels, capacity - 1, &error),
      VSEARCH_INVALID_ARGUMENT, "embeddings holds");
  CHECK_FAILS(vsearch_encoder_encode(encoder, images, (size_t)-1, from_pixels, capacity, &error),
              VSEARCH_INVALID_ARGUMENT, "embeddings holds");
  CHECK_FAILS(vsearch_encoder_encode(encoder, NULL, 1, from_pixels, capacity, &error),
              VSEARCH_INVALID_ARGUMENT, "images is NULL");
  CHECK_FAILS(vsearch_encoder_encode(encoder, images, 1, NULL, capacity, &error),
              VSEARCH_INVALID_ARGUMENT, "embeddings is NULL");

  images[1].stride_bytes = PICTURE_SIDE_PX * 3 - 1;
  CHECK_FAILS(vsearch_encoder_encode(encoder, images, PICTURE_COUNT, from_pixels, capacity, &error),
              VSEARCH_INVALID_ARGUMENT, "images[1].stride_bytes is 287");
  images[1].format = 5;
  CHECK_FAILS(vsearch_encoder_encode(encoder, images, PICTURE_COUNT, from_pixels, capacity, &error),
              VSEARCH_INVALID_ARGUMENT, "images[1].format is 5: set it to one of");
  images[1].height_px = 0;
  CHECK_FAILS(vsearch_encoder_encode(encoder, images, PICTURE_COUNT, from_pixels, capacity, &error),
              VSEARCH_INVALID_ARGUMENT, "images[1] is empty: 96 x 0 pixels");
  images[1].data = NULL;
  CHECK_FAILS(vsearch_encoder_encode(encoder, images, PICTURE_COUNT, from_pixels, capacity, &error),
              VSEARCH_INVALID_ARGUMENT, "images[1].data is NULL");

  free(from_pixels);
  free(from_files);
}

/* The same picture in every order of channels. */
static void test_formats(const vsearch_encoder* encoder) {
  enum { PIXELS = PICTURE_SIDE_PX * PICTURE_SIDE_PX, FORMATS = 4 };
  static const int channels[FORMATS][4] = {
      {0, 1, 2, -1}, {2, 1, 0, -1}, {0, 1, 2, 3}, {2, 1, 0, 3}};
  static const vsearch_pixel_format formats[FORMATS] = {VSEARCH_PIXEL_RGB, VSEARCH_PIXEL_BGR,
                                                        VSEARCH_PIXEL_RGBA, VSEARCH_PIXEL_BGRA};
  static uint8_t pixels[FORMATS][PIXELS * 4];
  uint8_t rgb[PIXELS * 3];
  const uint32_t dim = vsearch_encoder_dim(encoder);
  float* embeddings = malloc((size_t)(FORMATS + 1) * dim * sizeof(float));
  vsearch_image images[FORMATS + 1] = {{0}};
  fill_picture(0, rgb);
  for (int format = 0; format < FORMATS; ++format) {
    const int size = channels[format][3] < 0 ? 3 : 4;
    for (int i = 0; i < PIXELS; ++i) {
      for (int c = 0; c < size; ++c) {
        const int from = channels[format][c];
        pixels[format][i * size + c] = from == 3 ? 255 : rgb[i * 3 + from];
      }
    }
    images[format].data = pixels[format];
    images[format].width_px = PICTURE_SIDE_PX;
    images[format].height_px = PICTURE_SIDE_PX;
    images[format].stride_bytes = (size_t)(PICTURE_SIDE_PX * size);
    images[format].format = formats[format];
  }
  images[FORMATS] = images[0];
  images[FORMATS].format = VSEARCH_PIXEL_GREY;
  CHECK_OK(vsearch_encoder_encode(encoder, images, FORMATS + 1, embeddings,
                                  (size_t)(FORMATS + 1) * dim, &error));
  float grey_differs = 0;
  for (uint32_t i = 0; i < dim; ++i) {
    for (int format = 1; format < FORMATS; ++format) {
      CHECK_NEAR(embeddings[(uint32_t)format * dim + i], embeddings[i], 1e-4F);
    }
    grey_differs = fmaxf(grey_differs, fabsf(embeddings[FORMATS * dim + i] - embeddings[i]));
  }
  CHECK(grey_differs > 1e-2F);
  images[2].stride_bytes = PICTURE_SIDE_PX * 4 - 1;
  CHECK_FAILS(vsearch_encoder_encode(encoder, images, 3, embeddings, 3 * (size_t)dim, &error),
              VSEARCH_INVALID_ARGUMENT, "images[2].stride_bytes is 383, but 96 pixels of 4 bytes");
  free(embeddings);
}

static int count_files(void* user, uint64_t done, uint64_t total) {
  uint64_t* const most = user;
  if (done > *most) *most = done;
  return done > total;
}

static int stop_at_once(void* user, uint64_t done, uint64_t total) {
  (void)user;
  (void)done;
  (void)total;
  return 1;
}

/* A bad file among good ones is reported, and spoils nobody else's row. */
static void test_files(const vsearch_encoder* encoder) {
  enum { FILES = 4 };
  const uint32_t dim = vsearch_encoder_dim(encoder);
  const size_t capacity = (size_t)FILES * dim;
  float* embeddings = malloc(capacity * sizeof(float));
  const char* paths[FILES] = {temp_path("first.bmp"), temp_path("no-such-picture.jpg"),
                              temp_path("text.jpg"), temp_path("last.bmp")};
  write_bmp(0, paths[0]);
  write_file(paths[2], "this is text", 12);
  write_bmp(1, paths[3]);
  uint64_t most = 0;
  vsearch_encode_options options = {
      .struct_size = sizeof options, .progress = count_files, .progress_user = &most, .exact = 1};
  vsearch_encode_report* report = NULL;
  CHECK_OK(vsearch_encoder_encode_files(encoder, paths, FILES, &options, embeddings, capacity,
                                        &report, &error));
  CHECK(most == FILES);
  CHECK(vsearch_encode_report_failure_count(report) == 2);
  const vsearch_encode_failure* missing = vsearch_encode_report_failure(report, 0);
  CHECK(missing->index == 1 && missing->status == VSEARCH_FILE_NOT_FOUND);
  CHECK(strcmp(missing->path, paths[1]) == 0);
  CHECK(strstr(missing->message, "no-such-picture.jpg") != NULL);
  const vsearch_encode_failure* text = vsearch_encode_report_failure(report, 1);
  CHECK(text->index == 2 && text->status == VSEARCH_BAD_IMAGE);
  CHECK(strstr(text->message, "text.jpg") != NULL);
  CHECK(vsearch_encode_report_failure(report, 2) == NULL);
  vsearch_encode_report_free(report);
  for (uint32_t i = 0; i < dim; ++i) {
    CHECK(!isnan(embeddings[i]) && !isnan(embeddings[3 * dim + i]));
    CHECK(isnan(embeddings[dim + i]) && isnan(embeddings[2 * dim + i]));
  }

  /* Limits, and what a failed call leaves behind. */
  options.max_pixels = PICTURE_SIDE_PX * PICTURE_SIDE_PX - 1;
  CHECK_OK(vsearch_encoder_encode_files(encoder, paths, 1, &options, embeddings, capacity, &report,
                                        &error));
  CHECK(vsearch_encode_report_failure_count(report) == 1);
  vsearch_encode_report_free(report);
  options.max_pixels = 0;
  options.progress = stop_at_once;
  embeddings[0] = 7;
  CHECK_FAILS(vsearch_encoder_encode_files(encoder, paths, FILES, &options, embeddings, capacity,
                                           &report, &error),
              VSEARCH_CANCELLED, "cancelled");
  CHECK(report == NULL && embeddings[0] == 7);

  CHECK_OK(vsearch_encoder_encode_files(encoder, NULL, 0, NULL, NULL, 0, &report, &error));
  CHECK(report != NULL && vsearch_encode_report_failure_count(report) == 0);
  vsearch_encode_report_free(report);
  CHECK_FAILS(vsearch_encoder_encode_files(encoder, paths, FILES, NULL, embeddings, capacity - 1,
                                           NULL, &error),
              VSEARCH_INVALID_ARGUMENT, "embeddings holds");
  paths[2] = NULL;
  CHECK_FAILS(
      vsearch_encoder_encode_files(encoder, paths, FILES, NULL, embeddings, capacity, NULL, &error),
      VSEARCH_INVALID_ARGUMENT, "paths[2] is NULL");
  free(embeddings);
}

/* The default encoder knows no words. */
static void test_text(const vsearch_encoder* encoder) {
  const uint32_t dim = vsearch_encoder_dim(encoder);
  float* embeddings = malloc(dim * sizeof(float));
  const char* texts[2] = {"a red shirt", NULL};
  CHECK(vsearch_encoder_has_text(encoder) == 0);
  CHECK_FAILS(vsearch_encoder_encode_text(encoder, texts, 1, embeddings, dim, &error),
              VSEARCH_UNAVAILABLE, "cannot encode words");
  CHECK_FAILS(vsearch_encoder_encode_text(encoder, texts, 2, embeddings, dim, &error),
              VSEARCH_INVALID_ARGUMENT, "embeddings holds");
  CHECK_FAILS(vsearch_encoder_encode_text(encoder, texts + 1, 1, embeddings, dim, &error),
              VSEARCH_INVALID_ARGUMENT, "texts[0] is NULL");
  CHECK_OK(vsearch_encoder_encode_text(encoder, NULL, 0, NULL, 0, &error));
  free(embeddings);
}

static void test_precisions(void) {
  vsearch_encoder_options options = {
      .struct_size = sizeof options, .skip_verify = 1, .precision = VSEARCH_PRECISION_BF16};
  vsearch_encoder* encoder = NULL;
  CHECK_OK(vsearch_encoder_load(NULL, &options, &encoder, &error));
  CHECK(vsearch_encoder_precision(encoder) == VSEARCH_PRECISION_BF16);
  vsearch_encoder_free(encoder);
  options.precision = VSEARCH_PRECISION_FP16;
  CHECK_FAILS(vsearch_encoder_load(NULL, &options, &encoder, &error), VSEARCH_UNAVAILABLE, "fp16");
}

static void test_load_errors(void) {
  vsearch_encoder* encoder = (vsearch_encoder*)&error;
  const char* text = temp_path("text.vsm.pt");
  write_file(text, "this is no model", 16);
  CHECK_FAILS(vsearch_encoder_load(text, NULL, &encoder, &error), VSEARCH_BAD_MODEL, "text.vsm.pt");
  CHECK(encoder == NULL);
  CHECK_FAILS(vsearch_encoder_load("no-such-model", NULL, &encoder, &error), VSEARCH_FILE_NOT_FOUND,
              "no-such-model");
  CHECK(encoder == NULL);
}

int main(void) {
  test_load_errors();
  if (!have_default_encoder()) return test_result();
  vsearch_encoder* encoder = NULL;
  CHECK_OK(vsearch_encoder_load(NULL, &quick, &encoder, &error));
  CHECK(vsearch_encoder_dim(encoder) > 0);
  CHECK(strlen(vsearch_encoder_name(encoder)) > 0);
  CHECK(strlen(vsearch_encoder_fingerprint(encoder)) == 64);
  CHECK(vsearch_encoder_precision(encoder) == VSEARCH_PRECISION_FP32);
  test_encode(encoder);
  test_formats(encoder);
  test_files(encoder);
  test_text(encoder);
  vsearch_encoder_free(encoder);
  test_precisions();
  return test_result();
}
