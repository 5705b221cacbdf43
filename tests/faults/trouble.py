"""Clients that do not behave. trouble.py KIND PORT [NUMBER]...

Each says "ready" when it is in place, waits for a line on its standard input between its steps, ends with status 0, or says on
standard error what it did not get from the server and ends with 1."""
import errno
import os
import resource
import select
import socket
import struct
import sys
import time

PATIENCE_S = float(os.environ.get('FAULTS_PATIENCE_S', '30'))
MESSAGE = bytes(range(64))


def tell(text):
    print(text, flush=True)


def order():
    """Waits for the next line; the end of the input ends this process."""
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return line.strip()


def expect(ok, text):
    if not ok:
        print(f'trouble: {text}', file=sys.stderr, flush=True)
        sys.exit(1)


IP_BIND_ADDRESS_NO_PORT = 24


def source_of(port, net, i):
    """Addresses enough that no two servers' clients, nor what is left of them (TIME_WAIT), meet."""
    return f'127.{1 + port % 250}.{net}.{1 + i // 1000}'


def bind(s, source):
    """The port is chosen by connect: bind would look for one that nobody at all has, for long when many are in TIME_WAIT."""
    s.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    s.bind((source, 0))


def drop_all(conns):
    """By resets, every eighth by an end: those stay in TIME_WAIT, and so many of them would slow down whatever comes next."""
    for i, s in enumerate(conns):
        reset(s) if i % 8 else s.close()


def connect(port, source=None, buffers=None):
    s = socket.socket()
    s.settimeout(PATIENCE_S)
    if buffers:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
    if source:
        bind(s, source)
    s.connect(('127.0.0.1', port))
    return s


def reset(s):
    """Ends a connection by a reset, whatever is on its way."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    s.close()


def receive(s, n):
    got = b''
    while len(got) < n:
        part = s.recv(n - len(got))
        if not part:
            break
        got += part
    return got


def stuff(conns, settled_s=0.5):
    """Sends on all until nothing more has gone for a while; returns how many bytes went on each, all as in PATTERN."""
    sent, last = [0] * len(conns), time.monotonic()
    for s in conns:
        s.setblocking(False)
    while time.monotonic() - last < settled_s and max(sent) < 256 << 20:
        select.select([], conns, [], 0.05)
        for i, s in enumerate(conns):
            try:
                sent[i] += s.send(pattern(sent[i], 16384))
            except BlockingIOError:
                continue
            last = time.monotonic()
    for s in conns:
        s.settimeout(PATIENCE_S)
    return sent


PATTERN = bytes((i * 7 + i // 1021) & 255 for i in range(1021 * 257))


def pattern(at, n):
    at %= len(PATTERN)
    return (PATTERN[at:at + n] + PATTERN)[:n]


def crowd(port, count):
    """More clients than the server has descriptors for. Those that wait are served when others leave."""
    conns = [connect(port) for _ in range(count)]
    for s in conns:
        s.sendall(MESSAGE)
        s.setblocking(False)
    tell('ready')
    while order() == 'count':
        tell(sum(bool(answered(s)) for s in conns))
    served = [s for s in conns if answered(s)]
    waiting = [s for s in conns if not answered(s)]
    for s in served:
        s.close()
    tell(f'left {len(served)}')
    while waiting:  # each that has its answer makes room for the next
        able = select.select(waiting, [], [], PATIENCE_S)[0]
        expect(able, f'{len(waiting)} clients were never served')
        for s in able:
            s.settimeout(PATIENCE_S)
            expect(receive(s, len(MESSAGE)) == MESSAGE, 'a client that had to wait got something else')
            s.close()
            waiting.remove(s)
    tell('all served')
    order()


def answered(s):
    try:
        return s.recv(len(MESSAGE), socket.MSG_PEEK) == MESSAGE
    except BlockingIOError:
        return False


def reset_at_once(port):
    reset(connect(port))


def reset_in_message(port):
    s = connect(port)
    s.sendall(MESSAGE[:32])
    reset(s)


def reset_between_messages(port):
    s = connect(port)
    s.sendall(MESSAGE)
    expect(receive(s, 64) == MESSAGE, 'no echo before the reset')
    reset(s)


def reset_while_server_writes(port):
    s = connect(port, buffers=4096)
    s.setblocking(False)
    try:
        while True:
            s.send(bytes(65536))
    except BlockingIOError:
        pass
    reset(s)


def reset_after_shutdown(port):
    s = connect(port)
    s.sendall(MESSAGE)
    s.shutdown(socket.SHUT_WR)
    reset(s)


def reset_after_both_ends(port):
    s = connect(port)
    s.sendall(MESSAGE)
    s.shutdown(socket.SHUT_WR)
    expect(receive(s, 65) == MESSAGE, 'no echo, or no end, after a shutdown')
    reset(s)


def close_with_data_unread(port):
    s = connect(port)
    s.sendall(MESSAGE)
    expect(select.select([s], [], [], PATIENCE_S)[0], 'no echo')
    s.close()  # the system makes a reset of it


def shutdown_while_server_writes(port):
    s = connect(port, buffers=4096)
    s.setblocking(False)
    try:
        while True:
            s.send(bytes(65536))
    except BlockingIOError:
        pass
    s.shutdown(socket.SHUT_WR)
    reset(s)


STATES = (reset_at_once, reset_in_message, reset_between_messages, reset_while_server_writes, reset_after_shutdown,
          reset_after_both_ends, close_with_data_unread, shutdown_while_server_writes)


def resets(port, rounds, pause_ms=0):
    """Resets in each state, in turn."""
    tell('ready')
    order()
    for _ in range(rounds):
        for state in STATES:
            state(port)
            if pause_ms:
                time.sleep(pause_ms / 1000)
    tell(f'done {rounds * len(STATES)}')
    order()


def drop(port, count, net):
    """Opens many connections at once, and drops them at once, connected or not."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    tell('ready')
    order()
    conns = []
    for i in range(count):
        s = socket.socket()
        s.setblocking(False)
        bind(s, source_of(port, net, i))
        code = s.connect_ex(('127.0.0.1', port))
        expect(code in (0, errno.EINPROGRESS), f'connect: {os.strerror(code)}')
        conns.append(s)
    drop_all(conns)
    tell(f'done {len(conns)}')
    order()


def hold(port, count, net):
    """Opens many connections, has an answer on each, waits, and drops them all at once."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    tell('ready')
    order()
    conns = [connect(port, source_of(port, net, i)) for i in range(count)]
    for s in conns:
        s.sendall(MESSAGE)
    for s in conns:
        expect(receive(s, 64) == MESSAGE, 'no echo on one of many connections')
    tell(f'open {count}')
    order()
    drop_all(conns)
    tell(f'done {count}')
    order()


def slow(port, count, interval_ms, least=0):
    """One byte per interval on each connection, so many at least, until told to leave; each comes back."""
    conns = [connect(port) for _ in range(count)]
    tell('ready')
    sent, told = 0, []
    while True:
        told = told or select.select([sys.stdin], [], [], interval_ms / 1000)[0]
        if told and sent >= least:
            break
        byte = bytes([sent % 256])
        for s in conns:
            s.sendall(byte)
        for s in conns:
            expect(s.recv(16) == byte, 'a byte did not come back')
        sent += 1
    for i, s in enumerate(conns):
        reset(s) if i % 2 else s.close()
    tell(f'done {sent}')
    order()


def deaf(port, count, buffer_bytes):
    """Sends and never reads. "listen" has the first read all of it after all, and then sends the end; then the rest leaves."""
    conns = [connect(port, buffers=buffer_bytes) for _ in range(count)]
    tell('ready')
    order()
    sent = stuff(conns)
    tell(f'stuck {max(sent)} {sent[0]}')
    if order() == 'listen':
        got = 0
        conns[0].shutdown(socket.SHUT_WR)
        while got < sent[0]:
            part = conns[0].recv(65536)
            expect(part and part == pattern(got, len(part)), f'after {got} of {sent[0]} bytes: {"other bytes" if part else "the end"}')
            got += len(part)
        expect(conns[0].recv(1) == b'', 'no end after the last byte')
        tell(f'heard {got}')
        order()
    for i, s in enumerate(conns):
        reset(s) if i % 2 else s.close()
    tell('done')
    order()


KINDS = {f.__name__: f for f in (crowd, resets, drop, hold, slow, deaf)}

if __name__ == '__main__':
    try:
        KINDS[sys.argv[1]](*map(int, sys.argv[2:]))
    except OSError as e:
        expect(False, f'{sys.argv[1]}: {e}')
