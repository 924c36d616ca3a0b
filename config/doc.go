// Package config reads the configuration of the broker into one validated struct. It merges, each
// over the one before:
//
//  1. the defaults: those of [Defaults], and for an endpoint those of its
//     protocol's original server ([core.Protocol] and [core.Profile]);
//  2. one YAML file;
//  3. the environment: POLYWIRE_LOG__LEVEL=debug sets log.level. Two
//     underscores separate the parts of a key; an endpoint is given by its name
//     (POLYWIRE_ENDPOINTS__WEB__LISTEN), without regard to case and with _ for -,
//     and an entry of another list by its number. Variables without two
//     underscores are ignored;
//  4. the flags ([Override]): --set endpoints.web.listen=:3001.
//
// A list in the environment or in a flag is written with commas: a,b, or as in the file: [a, b].
// Both change what the file lists; they add no endpoint and no service.
//
// Inside the values of the file, ${NAME} is replaced by the environment variable NAME, and
// ${NAME:-default} by default if NAME is unset or empty. $${ stands for ${.
//
// A program that has no file makes a [Config] in Go, which [Build] checks and completes in the same way.
//
// All faults are reported at once, with file and line ([Errors]). The package knows no protocol:
// the caller passes them in.
package config
