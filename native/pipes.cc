#include "pipes.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <new>
#include <utility>

namespace viaduct {

Pipes::~Pipes() {
  for (Pipe* pipe : Vector<Pipe*>(std::move(spare_))) discard(pipe);
}

Pipe* Pipes::take() {
  if (!spare_.empty()) {
    Pipe* pipe = spare_.back();
    spare_.pop_back();
    return pipe;
  }
  if (open_ >= kOpenMax) return nullptr;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return nullptr;
  Pipe* pipe = takes_the_last(ends[1]) ? nullptr : new (std::nothrow) Pipe{ends[0], ends[1], 0};
  if (pipe == nullptr) {
    close(ends[0]);
    close(ends[1]);
    return nullptr;
  }
  // Refused to a user with too many bytes of pipes already: it then keeps the capacity that it has.
  int bytes = fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(kBytes));
  if (bytes < 0) bytes = fcntl(ends[1], F_GETPIPE_SZ);
  open_++;
  pipe->bytes = bytes > 0 ? static_cast<size_t>(bytes) : 4096;
  return pipe;
}

/** A new descriptor has the lowest free number: all numbers below it are in use. */
bool Pipes::takes_the_last(int fd) const {
  struct rlimit files;
  return getrlimit(RLIMIT_NOFILE, &files) == 0 && static_cast<rlim_t>(fd) + kFilesLeft >= files.rlim_cur;
}

void Pipes::give_back(Pipe* pipe) {
  if (spare_.size() < kSpareMax) spare_.push_back(pipe);
  else discard(pipe);
}

void Pipes::discard(Pipe* pipe) {
  close(pipe->read_end);
  close(pipe->write_end);
  delete pipe;
  open_--;
}

}  // namespace viaduct
