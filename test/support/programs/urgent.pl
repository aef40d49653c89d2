# Sends urgent data (MSG_OOB), which Node cannot, ends its side, and reads until the peer has ended too. Byte n of what it
# sends is n % 251; `whole` is printed at the end when the peer has sent the same.
#
#   urgent.pl connect PORT HEAD BYTES MARKS    sends HEAD and goes on at once; PORT may be the path of a unix socket
#   urgent.pl tunnel  PORT HEAD BYTES MARKS    sends HEAD and waits for the head of an answer
#   urgent.pl listen  -    HEAD BYTES MARKS    prints its port, accepts one connection and sends HEAD
#   urgent.pl answer  -    HEAD BYTES MARKS    the same, behind the head of a request
#
# MARKS are the places of urgent bytes behind HEAD, with commas between them; -1 is the last byte of HEAD. A place that is
# `stall` is where the peer takes no more for 200 ms, however much the kernel keeps for it: `stalled` is printed then, the
# next byte is urgent, and `urgent` is printed when it is sent. With such a place BYTES is a bound: the end comes behind the
# last place, and `sent` with the number of bytes is printed there.
use strict;
use warnings;
use Socket;
use IO::Handle;
STDOUT->autoflush(1);
my ($role, $port, $head, $bytes, $marks) = @ARGV;
$head =~ s/\\r/\r/g;
$head =~ s/\\n/\n/g;
my $peer;
if ($role eq 'connect' || $role eq 'tunnel') {
  my $is_unix = $port =~ m{^/};
  socket($peer, $is_unix ? AF_UNIX : AF_INET, SOCK_STREAM, 0) or die;
  my $address = $is_unix ? pack_sockaddr_un($port) : pack_sockaddr_in($port, inet_aton('127.0.0.1'));
  connect($peer, $address) or die "connect: $!";
} else {
  socket(my $listener, AF_INET, SOCK_STREAM, 0) or die;
  bind($listener, pack_sockaddr_in(0, inet_aton('127.0.0.1'))) or die;
  listen($listener, 1) or die;
  print((unpack_sockaddr_in(getsockname($listener)))[0], "\n");
  accept($peer, $listener) or die;
}
setsockopt($peer, 6, 1, 1);    # IPPROTO_TCP, TCP_NODELAY
my $behind_head = '';
await_head() if $role eq 'answer';
my $pattern = join('', map { chr } 0 .. 250) x 270;

sub await_head {
  my $read = '';
  while ($read !~ /\r\n\r\n/) { sysread($peer, $read, 65_536, length $read) or die 'no head' }
  $behind_head = substr($read, index($read, "\r\n\r\n") + 4);
}
sub piece { my ($at, $size) = @_; return substr($pattern, $at % 251, $size) }
sub put {
  my ($text, $flags) = @_;
  while (length $text) {
    my $put = send($peer, $text, $flags);
    die "send: $!" if !defined $put;
    $text = substr($text, $put);
  }
}
# As much as the socket takes, until it has taken none for a while.
sub fill {
  my ($at, $end) = @_;
  while ($at < $end) {
    my $ready = '';
    vec($ready, fileno($peer), 1) = 1;
    if (!select(undef, $ready, undef, 0.2)) { print "stalled\n"; return $at }
    my $put = send($peer, piece($at, $end - $at < 65_536 ? $end - $at : 65_536), MSG_DONTWAIT);
    $at += $put if defined $put;
  }
  # The reader in the other process must not wait for the rest.
  shutdown($peer, 2);
  die "$end bytes were sent and the peer never stalled";
}

my @marks = split /,/, $marks // '';
if (@marks && $marks[0] eq '-1') {
  shift @marks;
  put(substr($head, 0, -1), 0);
  put(substr($head, -1), MSG_OOB);
} else {
  put($head, 0) if length $head;
}
await_head() if $role eq 'tunnel';
# One sends and one reads: each side may send more than the other has room for.
my $sender = fork // die;
if ($sender == 0) {
  my $at = 0;
  for my $mark (@marks) {
    if ($mark eq 'stall') {
      $at = fill($at, $bytes);
      put(piece($at++, 1), MSG_OOB);
      print "urgent\n";
      next;
    }
    while ($at < $mark) {
      my $size = $mark - $at < 65_536 ? $mark - $at : 65_536;
      put(piece($at, $size), 0);
      $at += $size;
    }
    put(piece($at++, 1), MSG_OOB);
  }
  my $is_stalled = grep { $_ eq 'stall' } @marks;
  print "sent $at\n" if $is_stalled;
  while (!$is_stalled && $at < $bytes) {
    my $size = $bytes - $at < 65_536 ? $bytes - $at : 65_536;
    put(piece($at, $size), 0);
    $at += $size;
  }
  shutdown($peer, 1);
  exit 0;
}
# Whether what the peer has sent is the same.
my $got = length $behind_head;
my $is_same = $behind_head eq piece(0, $got);
while (my $read = sysread($peer, my $piece, 65_536)) {
  $is_same &&= $piece eq piece($got, $read);
  $got += $read;
}
print $is_same && $got == $bytes ? "whole\n" : "not whole: $got\n";
waitpid $sender, 0;
