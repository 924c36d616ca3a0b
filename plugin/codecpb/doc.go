// Package codecpb is ../codec.proto in Go, as `make generate` writes it.
package codecpb
