#include "pipes.h"

#include <fcntl.h>
#include <unistd.h>

namespace viaduct {

Pipes::~Pipes() {
  for (Pipe* pipe : std::vector<Pipe*>(std::move(spare_))) discard(pipe);
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
  // Refused to a user who has too many already: it then stays as it is.
  int bytes = fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(kBytes));
  if (bytes < 0) bytes = fcntl(ends[1], F_GETPIPE_SZ);
  open_++;
  return new Pipe{ends[0], ends[1], bytes > 0 ? static_cast<size_t>(bytes) : 4096};
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
