"""The first TCP client of a networking course: one sentence, without a newline, and one answer."""
# ruff: noqa: T201

import sys
from socket import AF_INET, SOCK_STREAM, socket

server_port = int(sys.argv[1])
client_socket = socket(AF_INET, SOCK_STREAM)
client_socket.connect(("localhost", server_port))
sentence = input()
client_socket.send(sentence.encode())
answer = client_socket.recv(1024)
print("From Server:", answer.decode())
client_socket.close()
