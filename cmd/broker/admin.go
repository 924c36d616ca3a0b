package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
)

// askAdmin sends a request to the admin server of the broker of a configuration, which has one. It ignores a proxy
// of the environment, because the broker is near. The caller closes the body.
func askAdmin(ctx context.Context, cfg *config.Config, method, path string) (*http.Response, error) {
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	url := strings.TrimSuffix(polywire.AdminURL(cfg), "/metrics") + path
	if socket, ok := strings.CutPrefix(cfg.Admin.Listen, "unix:"); ok {
		url = "http://localhost" + path
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, fmt.Errorf("asking the broker: %w", err)
	}
	if token := cfg.Admin.ReloadToken; token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: transport}
	response, err := client.Do(request)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		return nil, fmt.Errorf("asking the broker: %w; if it runs with another admin address than the file has now, --admin names that", err)
	}
	if err != nil {
		return nil, fmt.Errorf("asking the broker: %w", err)
	}
	return response, nil
}
