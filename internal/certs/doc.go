// Package certs keeps the keys and certificates of TLS listeners: it loads them, checks
// them, and swaps them when their files change, while connections go on.
//
// [Source.Config] is a configuration for crypto/tls that never changes; behind it each
// handshake gets what is current at that moment. So a listener keeps its configuration for
// life, whatever happens to the files and to the settings.
//
// Files are checked every few seconds by content. That works alike for files that are
// overwritten, renamed into place, or swapped by a symbolic link above them, as Kubernetes
// does. A change counts when two checks have found the same content. A change that cannot be
// used is logged, and what was there before stays in use.
package certs
