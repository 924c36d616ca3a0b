package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/spf13/cobra"
)

// front is where the clients of a command that stands before a server connect: the values of the flags.
type front struct {
	address, cert, key string
}

func (f *front) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.address, "listen", "l", "", "where clients connect, HOST:PORT")
	flags.StringVar(&f.cert, "listen-cert", "", "the PEM file of the certificate that clients see: they connect with TLS")
	flags.StringVar(&f.key, "listen-key", "", "the PEM file of its key")
	for _, name := range []string{"listen-cert", "listen-key"} {
		_ = cmd.MarkFlagFilename(name, "pem", "crt", "key")
	}
}

// listen begins to listen. security is nil if clients connect without TLS.
func (f *front) listen(ctx context.Context) (l net.Listener, security *tls.Config, err error) {
	if (f.cert == "") != (f.key == "") {
		return nil, nil, errors.New("--listen-cert and --listen-key belong together")
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, nil, fmt.Errorf("reading --listen-cert and --listen-key: %w", err)
		}
		security = &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}
	}
	if l, err = new(net.ListenConfig).Listen(ctx, "tcp", f.address); err != nil {
		return nil, nil, fmt.Errorf("--listen: %w", err)
	}
	return l, security, nil
}
