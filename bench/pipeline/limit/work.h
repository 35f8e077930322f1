/*
 * What restore.c and pack.c share: a plan is read, and threads take a frame of it at a time. The plan is made by plan.ts; a
 * line each, by its first letter:
 *   F OFFSET BYTES RAW_BYTES SHA256           a frame of a layer
 *   f FRAME OFFSET SIZE MODE MTIME_NS PLACE   a file, after the frames; the offset is that in what the frame holds
 * and what the program that includes this knows besides. The functions of libraries are declared where they are called, as
 * headers are seldom installed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

unsigned char *SHA256(const unsigned char *from, size_t bytes, unsigned char *digest);

struct file { long offset, size, mtime_ns; unsigned mode; char *place; };
struct frame { long offset, bytes, raw_bytes; char sha256[65]; struct file *files; size_t count, room; };

static struct frame *frames;
static size_t frame_count;
static atomic_size_t next_frame;

static void fail(const char *what, const char *which) {
  fprintf(stderr, "%s: cannot %s %s\n", program_invocation_short_name, what, which);
  exit(1);
}

static void *allocate(void *old, size_t bytes) {
  void *memory = realloc(old, bytes);
  if (!memory) fail("allocate", "memory");
  return memory;
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

static void add_frame(const char *line) {
  struct frame frame = {0};
  if (sscanf(line, "F %ld %ld %ld %64s", &frame.offset, &frame.bytes, &frame.raw_bytes, frame.sha256) != 4) fail("parse", line);
  frames = allocate(frames, (frame_count + 1) * sizeof frame);
  frames[frame_count++] = frame;
}

/* `other` is handed the lines that are neither a frame nor a file. */
static void read_plan(const char *place, void (*other)(const char *line)) {
  FILE *plan = fopen(place, "re");
  if (!plan) fail("open", place);
  static char line[8192];
  while (fgets(line, sizeof line, plan)) {
    line[strcspn(line, "\n")] = 0;
    (line[0] == 'f' ? add_file : line[0] == 'F' ? add_frame : other)(line);
  }
  fclose(plan);
}

/* Runs `work` on as many threads as `count` says, and returns once all are done. */
static void on_threads(const char *count, void *(*work)(void *)) {
  long threads = strtol(count, NULL, 10);
  pthread_t started[64];
  if (threads < 1 || threads > 64) fail("start threads:", count);
  for (long at = 0; at < threads; at++)
    if (pthread_create(&started[at], NULL, work, NULL)) fail("start", "a thread");
  for (long at = 0; at < threads; at++) pthread_join(started[at], NULL);
}
