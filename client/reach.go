package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
)

// Path returns the path that is asked for at a URL as in [Options]; "/" if it has none.
func Path(address string) string {
	to, _, err := where(address)
	if err != nil {
		return "/"
	}
	return cmp.Or(to.Path, "/")
}

// Reach opens the connection to the server at a URL as in [Options], with TLS for wss, and does not send
// anything: the upgrade is the caller's. conf may be nil.
func Reach(ctx context.Context, address string, conf *tls.Config) (net.Conn, error) {
	u, socket, err := where(address)
	if err != nil {
		return nil, err
	}
	secure, port := u.Scheme == "wss", "80"
	if secure {
		port = "443"
	}
	network, to := "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port))
	if socket != "" {
		network, to = "unix", socket
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, to)
	if err != nil || !secure {
		return conn, err
	}
	conf = conf.Clone()
	if conf == nil {
		conf = new(tls.Config)
	}
	conf.ServerName = cmp.Or(conf.ServerName, u.Hostname())
	encrypted := tls.Client(conn, conf)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return encrypted, nil
}
