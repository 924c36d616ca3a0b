package conversations

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// httpStep is "http METHOD ENDPOINT PATH".
type httpStep struct {
	method, endpoint, path string
	headers                []field
	body                   string
	reply                  reply
}

func (s *httpStep) actor() string { return "" }

func (s *httpStep) play(p *Player) error {
	u, err := p.url(s.endpoint)
	if err != nil {
		return err
	}
	a, err := s.ask(p, u)
	if err != nil {
		return err
	}
	return s.reply.match(a, p)
}

func (s *httpStep) ask(p *Player, u *url.URL) (*answered, error) {
	path, err := p.vars.expand(s.path)
	if err != nil {
		return nil, err
	}
	body, err := p.vars.expand(s.body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.script.Timeout)
	defer cancel()
	scheme := "http://"
	if secure(u) {
		scheme = "https://"
	}
	request, err := http.NewRequestWithContext(ctx, s.method, scheme+u.Host+path, strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	for _, f := range s.headers {
		value, err := p.vars.expand(f.value)
		if err != nil {
			return nil, err
		}
		request.Header.Add(f.name, value)
	}
	return exchange(request, p.trusted)
}

// exchange sends a request on its own connection and follows no redirect.
func exchange(request *http.Request, trusted *x509.CertPool) (*answered, error) {
	transport := &http.Transport{
		DisableKeepAlives: true, DisableCompression: true, TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", request.URL, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxArrival))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", request.URL, err)
	}
	return &answered{status: response.StatusCode, header: response.Header, body: body}, nil
}

// metricStep is "metric NAME{labels} >= N" and "== N".
type metricStep struct {
	name    string
	labels  map[string]string
	atLeast bool
	value   float64
	text    string
}

func (s *metricStep) actor() string { return "" }

// metricInterval is the time between two polls of the metrics page.
const metricInterval = 10 * time.Millisecond

// play polls until the metric is as expected: counters often change a moment after their effect was
// seen on a connection.
func (s *metricStep) play(p *Player) error {
	pages, err := p.pages()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(p.script.Timeout)
	page := &httpStep{method: http.MethodGet, path: "/metrics"}
	for {
		var sum float64
		var related []string
		for _, u := range pages {
			a, err := page.ask(p, u)
			if err != nil {
				return err
			}
			n, others := sumMetric(string(a.body), s.name, s.labels)
			sum += n
			related = append(related, others)
		}
		if sum == s.value || s.atLeast && sum > s.value {
			return nil
		}
		if time.Now().After(deadline) {
			return &mismatch{expected: s.text, arrived: fmt.Sprint(sum), why: strings.TrimSpace(strings.Join(related, "\n"))}
		}
		select {
		case <-p.ctx.Done():
			return p.ctx.Err()
		case <-time.After(metricInterval):
		}
	}
}
