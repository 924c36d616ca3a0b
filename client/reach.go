package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
)

// Reach opens the connection to the server at a URL as in [Options], with TLS for wss, and does not send
// anything: the upgrade is the caller's. conf may be nil.
func Reach(ctx context.Context, address string, conf *tls.Config) (net.Conn, error) {
	target, socket, err := where(address)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("%q is no URL of a WebSocket", SafeURL(address))
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
