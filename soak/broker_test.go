package soak

import (
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/polywiretest"
)

// broker is a broker that runs in this process.
type broker struct {
	*polywiretest.Broker
	urls map[string]string
}

// load reads a configuration.
func load(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Load(config.Source{Text: text}, polywire.Protocols())
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// start runs a broker until the test ends. It logs from level on.
func start(t *testing.T, text string, level slog.Level) *broker {
	t.Helper()
	one, err := polywire.New(load(t, text), slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: level})))
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{polywiretest.Run(t, one), make(map[string]string)}
	for _, ep := range b.Endpoints() {
		b.urls[ep.Name] = ep.URL
	}
	return b
}

// reasonIs is the label of a metric for a reason.
func reasonIs(reason string) string { return `reason="` + reason + `"` }

// alone keeps no connections, which would count as left behind.
var alone = http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// get returns a page of an admin server, and its status.
func get(url string) (page string, status int, err error) { return getBy(&alone, url) }

func getBy(c *http.Client, url string) (page string, status int, err error) {
	response, err := c.Get(url)
	if err != nil {
		return "", 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), response.StatusCode, err
}

// metric returns the sum of a metric over all series that have the labels.
func (b *broker) metric(t *testing.T, name string, labels ...string) int64 {
	t.Helper()
	page, _, err := get(b.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	return total(t, page, name, labels...)
}

// total returns that sum of a page of metrics.
func total(t *testing.T, page, name string, labels ...string) int64 {
	t.Helper()
	series := regexp.MustCompile(`(?m)^` + name + `(\{[^}]*\})? (\S+)$`)
	sum := 0.0
	for _, match := range series.FindAllStringSubmatch(page, -1) {
		lacks := func(label string) bool { return !strings.Contains(match[1], label) }
		if !slices.ContainsFunc(labels, lacks) {
			value, err := strconv.ParseFloat(match[2], 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += value
		}
	}
	return int64(sum)
}
