#!/bin/busybox sh
printf 'Content-Type: text/plain\r\n\r\n'
echo "You've hit $(/bin/busybox hostname)"
echo "Received request from $REMOTE_ADDR" >&2
