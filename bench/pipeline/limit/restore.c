/*
 * restore PLAN THREADS: what a restore asks of a machine, and no more. Reads the frames of a layer, checks the SHA-256 of each,
 * decodes them and writes the files with their modes and times, each thread a frame at a time. Of its plan it knows besides:
 *   L PLACE   the layer
 *   D PLACE   a directory to make
 * Needs libzstd.so.1 and libcrypto.so.3 alone.
 */
#include "work.h"

size_t ZSTD_decompress(void *to, size_t room, const void *from, size_t bytes);

static char layer[4096];

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

static void make_directory_or_note_layer(const char *line) {
  if (line[0] == 'L') strcpy(layer, line + 2);
  else if (line[0] != 'D' || mkdir(line + 2, 0755)) fail("make", line);
}

int main(int count, char **words) {
  if (count != 3) fail("run without", "PLAN THREADS");
  read_plan(words[1], make_directory_or_note_layer);
  on_threads(words[2], work);
  return 0;
}
