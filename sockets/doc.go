// Package sockets opens the sockets that a broker listens on, and hands them on: a process
// takes those that it was given, by systemd (sd_listen_fds(3)) or by the process before it,
// and opens the others. [Given.Next] starts the process that comes
// after this one.
package sockets
