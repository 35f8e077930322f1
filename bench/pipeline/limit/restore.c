/*
 * restore PLAN THREADS: what a restore asks of a machine, and no more. Reads the frames of a layer, checks the SHA-256 of each,
 * decodes them and writes the files with their modes and times, each thread a frame at a time. The plan is made by
 * plan.ts; a line each, by its first letter:
 *   L PLACE                                   the layer
 *   D PLACE                                   a directory to make
 *   F OFFSET BYTES RAW_BYTES SHA256           a frame
 *   f FRAME OFFSET SIZE MODE MTIME_NS PLACE   a file, after the frames
 * Needs libzstd.so.1 and libcrypto.so.3 alone: their few functions are declared here, as headers are seldom installed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

size_t ZSTD_decompress(void *to, size_t room, const void *from, size_t bytes);
unsigned char *SHA256(const unsigned char *from, size_t bytes, unsigned char *digest);

struct file { long offset, size, mtime_ns; unsigned mode; char *place; };
struct frame { long offset, bytes, raw_bytes; char sha256[65]; struct file *files; size_t count, room; };

static struct frame *frames;
static size_t frame_count;
static char layer[4096];
static atomic_size_t next_frame;

static void fail(const char *what, const char *which) {
  fprintf(stderr, "restore: cannot %s %s\n", what, which);
  exit(1);
}

static void *allocate(void *old, size_t bytes) {
  void *memory = realloc(old, bytes);
  if (!memory) fail("allocate", "memory");
  return memory;
}

static void write_file(const struct file *file, const char *raw) {
  int fd = open(file->place, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, file->mode);
  if (fd < 0) fail("create", file->place);
  for (long done = 0; done < file->size;) {
    ssize_t written = write(fd, raw + file->offset + done, file->size - done);
    if (written < 0) fail("write", file->place);
    done += written;
  }
  struct timespec time = {file->mtime_ns / 1000000000, file->mtime_ns % 1000000000};
  struct stat stat;
  if (futimens(fd, (struct timespec[]){time, time}) || fstat(fd, &stat)) fail("time", file->place);
  if ((stat.st_mode & 07777) != file->mode && fchmod(fd, file->mode)) fail("chmod", file->place);
  close(fd);
}

static void *work(void *unused) {
  (void)unused;
  int fd = open(layer, O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail("open", layer);
  char *stored = NULL, *raw = NULL;
  long stored_room = 0, raw_room = 0;
  for (size_t at; (at = atomic_fetch_add(&next_frame, 1)) < frame_count;) {
    struct frame *frame = &frames[at];
    if (frame->bytes > stored_room) stored = allocate(stored, stored_room = frame->bytes);
    if (frame->raw_bytes > raw_room) raw = allocate(raw, raw_room = frame->raw_bytes);
    if (pread(fd, stored, frame->bytes, frame->offset) != frame->bytes) fail("read", layer);
    unsigned char digest[32];
    char hex[65];
    SHA256((unsigned char *)stored, frame->bytes, digest);
    for (int byte = 0; byte < 32; byte++) sprintf(hex + 2 * byte, "%02x", digest[byte]);
    if (strcmp(hex, frame->sha256)) fail("verify", layer);
    if (ZSTD_decompress(raw, frame->raw_bytes, stored, frame->bytes) != (size_t)frame->raw_bytes) fail("decode", layer);
    for (size_t file = 0; file < frame->count; file++) write_file(&frame->files[file], raw);
  }
  close(fd);
  return NULL;
}

static void add_file(const char *line) {
  struct file file;
  size_t frame;
  int place;
  if (sscanf(line, "f %zu %ld %ld %u %ld %n", &frame, &file.offset, &file.size, &file.mode, &file.mtime_ns, &place) != 5 ||
      frame >= frame_count)
    fail("parse", line);
  file.place = strdup(line + place);
  struct frame *of = &frames[frame];
  if (of->count == of->room) of->files = allocate(of->files, (of->room = of->room * 2 + 64) * sizeof file);
  of->files[of->count++] = file;
}

static void read_plan(const char *place) {
  FILE *plan = fopen(place, "re");
  if (!plan) fail("open", place);
  static char line[8192];
  while (fgets(line, sizeof line, plan)) {
    line[strcspn(line, "\n")] = 0;
    if (line[0] == 'L') strcpy(layer, line + 2);
    else if (line[0] == 'D') { if (mkdir(line + 2, 0755)) fail("make", line + 2); }
    else if (line[0] == 'f') add_file(line);
    else {
      struct frame frame = {0};
      if (sscanf(line, "F %ld %ld %ld %64s", &frame.offset, &frame.bytes, &frame.raw_bytes, frame.sha256) != 4)
        fail("parse", line);
      frames = allocate(frames, (frame_count + 1) * sizeof frame);
      frames[frame_count++] = frame;
    }
  }
  fclose(plan);
}

int main(int count, char **words) {
  if (count != 3) fail("run without", "PLAN THREADS");
  read_plan(words[1]);
  long threads = strtol(words[2], NULL, 10);
  pthread_t started[64];
  if (threads < 1 || threads > 64) fail("start threads:", words[2]);
  for (long at = 0; at < threads; at++)
    if (pthread_create(&started[at], NULL, work, NULL)) fail("start", "a thread");
  for (long at = 0; at < threads; at++) pthread_join(started[at], NULL);
  return 0;
}
