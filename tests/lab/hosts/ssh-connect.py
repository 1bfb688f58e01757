#!/usr/bin/python3
"""ssh's ProxyCommand with ProxyUseFdpass, for ssh_config.outside: HOST PORT.

Connects, already inside the right network namespace, and hands the socket to ssh.
"""
import array
import socket
import sys

connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
connection.setblocking(True)
rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [connection.fileno()]))
socket.socket(fileno=1).sendmsg([b'\0'], [rights])
