"""The same client as an exercise leaves it: it stays connected and sends one sentence after the other."""
# ruff: noqa: T201

import sys
from socket import AF_INET, SOCK_STREAM, socket

server_port = int(sys.argv[1])
client_socket = socket(AF_INET, SOCK_STREAM)
client_socket.connect(("localhost", server_port))
for line in sys.stdin:
    client_socket.send(line.rstrip("\n").encode())
    answer = client_socket.recv(1024)
    print("From Server:", answer.decode())
client_socket.close()
