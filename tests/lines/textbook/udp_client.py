"""The first UDP client of a networking course. A datagram that gets no answer is given up after the seconds of the second argument."""
# ruff: noqa: T201

import sys
from socket import AF_INET, SOCK_DGRAM, socket

server_port = int(sys.argv[1])
client_socket = socket(AF_INET, SOCK_DGRAM)
client_socket.settimeout(float(sys.argv[2]))
for line in sys.stdin:
    client_socket.sendto(line.rstrip("\n").encode(), ("localhost", server_port))
    try:
        answer, server_address = client_socket.recvfrom(2048)
        print(answer.decode(), flush=True)
    except TimeoutError:
        print("(lost)", flush=True)
client_socket.close()
