/*
 * pack PLAN THREADS LAYER: what a save asks of a machine, and no more. Reads the files of each frame, compresses them as a
 * save does (level 3, long-distance matching, a window of 32 MiB), takes the SHA-256 of what comes of it and writes that to
 * LAYER, which must not be there; each thread a frame at a time.
 * Needs libzstd.so.1 and libcrypto.so.3 alone.
 */
#include "work.h"

/* Numbers of zstd's interface, from its zstd.h. */
enum { COMPRESSION_LEVEL = 100, WINDOW_LOG = 101, LONG_DISTANCE_MATCHING = 160 };

void *ZSTD_createCCtx(void);
size_t ZSTD_CCtx_setParameter(void *context, int parameter, int value);
size_t ZSTD_compress2(void *context, void *to, size_t room, const void *from, size_t bytes);
size_t ZSTD_compressBound(size_t bytes);
unsigned ZSTD_isError(size_t code);

static int layer;
static atomic_long layer_bytes;

static void read_file(const struct file *file, char *raw) {
  int fd = open(file->place, O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail("open", file->place);
  for (long done = 0; done < file->size;) {
    ssize_t bytes = read(fd, raw + file->offset + done, file->size - done);
    if (bytes <= 0) fail("read", file->place);
    done += bytes;
  }
  close(fd);
}

static void set(void *context, int parameter, int value) {
  if (ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value))) fail("set up", "zstd");
}

static void *work(void *unused) {
  (void)unused;
  void *context = ZSTD_createCCtx();
  if (!context) fail("set up", "zstd");
  set(context, COMPRESSION_LEVEL, 3);
  set(context, WINDOW_LOG, 25);
  set(context, LONG_DISTANCE_MATCHING, 1);
  char *raw = NULL, *stored = NULL;
  long room = 0;
  for (size_t at; (at = atomic_fetch_add(&next_frame, 1)) < frame_count;) {
    struct frame *frame = &frames[at];
    if (frame->raw_bytes > room) {
      raw = allocate(raw, room = frame->raw_bytes);
      stored = allocate(stored, ZSTD_compressBound(room));
    }
    memset(raw, 0, frame->raw_bytes);
    for (size_t file = 0; file < frame->count; file++) read_file(&frame->files[file], raw);
    size_t bytes = ZSTD_compress2(context, stored, ZSTD_compressBound(room), raw, frame->raw_bytes);
    if (ZSTD_isError(bytes)) fail("compress", "a frame");
    unsigned char digest[32];
    SHA256((unsigned char *)stored, bytes, digest);
    long offset = atomic_fetch_add(&layer_bytes, (long)bytes);
    if (pwrite(layer, stored, bytes, offset) != (ssize_t)bytes) fail("write", "the layer");
  }
  return NULL;
}

static void refuse(const char *line) { fail("parse", line); }

int main(int count, char **words) {
  if (count != 4) fail("run without", "PLAN THREADS LAYER");
  read_plan(words[1], refuse);
  layer = open(words[3], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (layer < 0) fail("create", words[3]);
  on_threads(words[2], work);
  if (fsync(layer)) fail("flush", words[3]);
  return 0;
}
