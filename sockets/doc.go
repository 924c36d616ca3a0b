// Package sockets opens the sockets that a broker listens on, and hands them on. A process
// takes those that it was given, by systemd (sd_listen_fds(3)) or by the previous process,
// and opens the others. [Given.Next] starts the next process.
package sockets
