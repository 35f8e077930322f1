/*
 * pack PLAN THREADS LAYER: what a save asks of a machine, and no more. Reads the files of each frame, compresses them as a
 * save does (level 3, long-distance matching, a window of 32 MiB), takes the SHA-256 of what comes of it and writes that to
 * LAYER, which must not be there; each thread a frame at a time. The plan is made by plan.ts; a line each, by its first
 * letter:
 *   f FRAME SIZE PLACE   a file, the frames in order
 * Needs libzstd.so.1 and libcrypto.so.3 alone: their few functions are declared here, as headers are seldom installed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Numbers of zstd's interface, from its zstd.h. */
enum { COMPRESSION_LEVEL = 100, WINDOW_LOG = 101, LONG_DISTANCE_MATCHING = 160 };

void *ZSTD_createCCtx(void);
size_t ZSTD_CCtx_setParameter(void *context, int parameter, int value);
size_t ZSTD_compress2(void *context, void *to, size_t room, const void *from, size_t bytes);
size_t ZSTD_compressBound(size_t bytes);
unsigned ZSTD_isError(size_t code);
unsigned char *SHA256(const unsigned char *from, size_t bytes, unsigned char *digest);

struct file { long size; char *place; };
struct frame { long raw_bytes; struct file *files; size_t count, room; };

static struct frame *frames;
static size_t frame_count;
static int layer;
static atomic_size_t next_frame;
static atomic_long layer_bytes;

static void fail(const char *what, const char *which) {
  fprintf(stderr, "pack: cannot %s %s\n", what, which);
  exit(1);
}

static void *allocate(void *old, size_t bytes) {
  void *memory = realloc(old, bytes);
  if (!memory) fail("allocate", "memory");
  return memory;
}

static void read_file(const struct file *file, char *to) {
  int fd = open(file->place, O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail("open", file->place);
  for (long done = 0; done < file->size;) {
    ssize_t bytes = read(fd, to + done, file->size - done);
    if (bytes <= 0) fail("read", file->place);
    done += bytes;
  }
  close(fd);
}

static void *work(void *unused) {
  (void)unused;
  void *context = ZSTD_createCCtx();
  if (!context || ZSTD_isError(ZSTD_CCtx_setParameter(context, COMPRESSION_LEVEL, 3)) ||
      ZSTD_isError(ZSTD_CCtx_setParameter(context, WINDOW_LOG, 25)) ||
      ZSTD_isError(ZSTD_CCtx_setParameter(context, LONG_DISTANCE_MATCHING, 1)))
    fail("set up", "zstd");
  char *raw = NULL, *stored = NULL;
  long room = 0;
  for (size_t at; (at = atomic_fetch_add(&next_frame, 1)) < frame_count;) {
    struct frame *frame = &frames[at];
    if (frame->raw_bytes > room) {
      room = frame->raw_bytes;
      raw = allocate(raw, room);
      stored = allocate(stored, ZSTD_compressBound(room));
    }
    long filled = 0;
    for (size_t file = 0; file < frame->count; filled += frame->files[file++].size)
      read_file(&frame->files[file], raw + filled);
    size_t bytes = ZSTD_compress2(context, stored, ZSTD_compressBound(room), raw, filled);
    if (ZSTD_isError(bytes)) fail("compress", "a frame");
    unsigned char digest[32];
    SHA256((unsigned char *)stored, bytes, digest);
    long offset = atomic_fetch_add(&layer_bytes, (long)bytes);
    if (pwrite(layer, stored, bytes, offset) != (ssize_t)bytes) fail("write", "the layer");
  }
  return NULL;
}

static void add_file(const char *line) {
  struct file file;
  size_t at;
  int place;
  if (sscanf(line, "f %zu %ld %n", &at, &file.size, &place) != 2 || at > frame_count) fail("parse", line);
  file.place = strdup(line + place);
  if (at == frame_count) {
    frames = allocate(frames, (frame_count + 1) * sizeof *frames);
    frames[frame_count++] = (struct frame){0};
  }
  struct frame *frame = &frames[at];
  if (frame->count == frame->room)
    frame->files = allocate(frame->files, (frame->room = frame->room * 2 + 64) * sizeof file);
  frame->files[frame->count++] = file;
  frame->raw_bytes += file.size;
}

static void read_plan(const char *place) {
  FILE *plan = fopen(place, "re");
  if (!plan) fail("open", place);
  static char line[8192];
  while (fgets(line, sizeof line, plan)) {
    line[strcspn(line, "\n")] = 0;
    add_file(line);
  }
  fclose(plan);
}

int main(int count, char **words) {
  if (count != 4) fail("run without", "PLAN THREADS LAYER");
  read_plan(words[1]);
  long threads = strtol(words[2], NULL, 10);
  pthread_t started[64];
  if (threads < 1 || threads > 64) fail("start threads:", words[2]);
  layer = open(words[3], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (layer < 0) fail("create", words[3]);
  for (long at = 0; at < threads; at++)
    if (pthread_create(&started[at], NULL, work, NULL)) fail("start", "a thread");
  for (long at = 0; at < threads; at++) pthread_join(started[at], NULL);
  if (fsync(layer)) fail("flush", words[3]);
  return 0;
}
