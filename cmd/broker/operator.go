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

	"github.com/spf13/cobra"

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

// operator returns the operator of the broker of the configuration, or of the one that --url names.
func (s *settings) operator(cmd *cobra.Command) (*operator, error) {
	return s.operatorOr(cmd, "give it one: admin.listen")
}

// operatorOr is operator; instead says what to do where there is no admin server.
func (s *settings) operatorOr(cmd *cobra.Command, instead string) (*operator, error) {
	if s.credentials.url != "" {
		return newOperator(&config.Config{}, &s.credentials, instead)
	}
	cfg, err := s.load(cmd.InOrStdin())
	if err != nil {
		return nil, err
	}
	return newOperator(cfg, &s.credentials, instead)
}

// newOperator returns the operator of the broker of a configuration. It ignores a proxy of the environment, because
// the broker is near. instead says what to do where there is no admin server.
func newOperator(cfg *config.Config, c *credentials, instead string) (*operator, error) {
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	base := strings.TrimSuffix(polywire.AdminURL(cfg), "/metrics")
	socket, local := strings.CutPrefix(cfg.Admin.Listen, "unix:")
	switch {
	case c.url != "":
		base = strings.TrimSuffix(c.url, "/")
	case base == "":
		return nil, errors.New("the configuration has no admin address to ask at; " + instead)
	case local:
		scheme, _, _ := strings.Cut(base, "+")
		base = scheme + "://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}
	}
	at, err := url.Parse(base)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" || at.Path != "" {
		return nil, fmt.Errorf("%q is no address of an admin server, such as https://broker.internal:9443", base)
	}
	token, err := c.bearer(cfg)
	if err != nil {
		return nil, err
	}
	if at.Scheme == "https" {
		if transport.TLSClientConfig, err = c.tls(cfg, at.Hostname()); err != nil {
			return nil, err
		}
	}
	return &operator{base: base, token: token, client: &http.Client{Transport: transport, CheckRedirect: noRedirect}}, nil
}

// noRedirect keeps the token from where an answer points to.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

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
	// A page of a browser could not say so.
	request.Header.Set("X-Polywire", "1")
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
