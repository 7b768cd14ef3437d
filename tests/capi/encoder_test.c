/* Encoding through the C interface, with the default encoder. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

static const vsearch_encoder_options quick = {.struct_size = sizeof quick, .skip_verify = 1};

static void test_encode(const vsearch_encoder* encoder) {
  const uint32_t dim = vsearch_encoder_dim(encoder);
  const size_t capacity = (size_t)PICTURE_COUNT * dim;
  float* from_pixels = malloc(capacity * sizeof(float));
  float* from_files = malloc(capacity * sizeof(float));
  /* A row that is longer than its pixels: the gap must not be read. */
  enum { STRIDE_BYTES = PICTURE_SIDE_PX * 3 + 5 };
  static uint8_t pixels[PICTURE_COUNT][PICTURE_SIDE_PX * STRIDE_BYTES];
  uint8_t dense[PICTURE_SIDE_PX * PICTURE_SIDE_PX * 3];
  vsearch_image images[PICTURE_COUNT];
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
  CHECK_OK(
      vsearch_encoder_encode_files(encoder, paths, PICTURE_COUNT, from_files, capacity, &error));
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
  images[1].height_px = 0;
  CHECK_FAILS(vsearch_encoder_encode(encoder, images, PICTURE_COUNT, from_pixels, capacity, &error),
              VSEARCH_INVALID_ARGUMENT, "images[1] is empty: 96 x 0 pixels");
  images[1].data = NULL;
  CHECK_FAILS(vsearch_encoder_encode(encoder, images, PICTURE_COUNT, from_pixels, capacity, &error),
              VSEARCH_INVALID_ARGUMENT, "images[1].data is NULL");

  paths[2] = temp_path("no-such-picture.jpg");
  CHECK_FAILS(
      vsearch_encoder_encode_files(encoder, paths, PICTURE_COUNT, from_files, capacity, &error),
      VSEARCH_FILE_NOT_FOUND, "no-such-picture.jpg");
  paths[2] = NULL;
  CHECK_FAILS(
      vsearch_encoder_encode_files(encoder, paths, PICTURE_COUNT, from_files, capacity, &error),
      VSEARCH_INVALID_ARGUMENT, "paths[2] is NULL");
  free(from_pixels);
  free(from_files);
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
  test_encode(encoder);
  vsearch_encoder_free(encoder);
  return test_result();
}
