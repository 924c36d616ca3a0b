package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
)

// operatorTimeout bounds a request to the admin server: it is the time that the server allows.
const operatorTimeout = 30 * time.Second

// operator asks the admin server of a running broker.
type operator struct {
	base, token string
	client      *http.Client
}

// newOperator returns the operator of the broker of a configuration. It ignores a proxy of the environment, because
// the broker is near. instead says what to do where there is no admin server.
func newOperator(cfg *config.Config, instead string) (*operator, error) {
	if cfg.Admin.Listen == "" {
		return nil, errors.New("the configuration has no admin address to ask at; " + instead)
	}
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	base := strings.TrimSuffix(polywire.AdminURL(cfg), "/metrics")
	if socket, ok := strings.CutPrefix(cfg.Admin.Listen, "unix:"); ok {
		base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}
	}
	return &operator{base: base, token: cfg.Admin.ReloadToken, client: &http.Client{Transport: transport}}, nil
}

// ask sends a request, and returns the answer.
func (o *operator) ask(ctx context.Context, method, path string, query url.Values) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, operatorTimeout)
	defer cancel()
	response, err := o.send(ctx, method, path, query)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if body, err = io.ReadAll(response.Body); err != nil {
		return 0, nil, fmt.Errorf("asking the broker: %w", err)
	}
	return response.StatusCode, body, nil
}

// send sends a request, and returns the answer, which ends with ctx. The caller closes its body.
func (o *operator) send(ctx context.Context, method, path string, query url.Values) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, o.base+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("asking the broker: %w", err)
	}
	if o.token != "" {
		request.Header.Set("Authorization", "Bearer "+o.token)
	}
	response, err := o.client.Do(request)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		return nil, fmt.Errorf("asking the broker: %w; if it runs with another admin address than the file has now, --admin names that", err)
	}
	if err != nil {
		return nil, fmt.Errorf("asking the broker: %w", err)
	}
	return response, nil
}

// get asks for something of /v1, which is read into result.
func (o *operator) get(ctx context.Context, method, path string, query url.Values, result any) error {
	status, body, err := o.ask(ctx, method, path, query)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return refusedBy(status, body)
	}
	if err := json.Unmarshal(body, result); err != nil {
		return fmt.Errorf("reading the broker's answer: %w", err)
	}
	return nil
}

// refusedBy returns why the broker has refused a request.
func refusedBy(status int, body []byte) error {
	var refused struct {
		Error struct{ Message string }
	}
	text := strings.TrimSpace(string(body))
	if json.Unmarshal(body, &refused) == nil && refused.Error.Message != "" {
		text = refused.Error.Message
	}
	return fmt.Errorf("asking the broker: %d %s: %s", status, http.StatusText(status), text)
}
