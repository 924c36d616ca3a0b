package admin

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/polywire/polywire/core"
)

// tapParameters are the parameters of /v1/tap.
var tapParameters = []string{
	"endpoint", "connection", "topic", "max_message", "max_bytes", "sample", "every", "rate", "redact_key", "redact_header", "redact_topic", "show",
}

// tapQuery is what a tap is asked for.
type tapQuery struct {
	on          Tapped
	options     core.TapOptions
	maxBytes    int // less than 0 is all
	redact      Redact
	credentials bool
}

// newTapQuery reads the query of a request.
func newTapQuery(r *http.Request) (t tapQuery, err error) {
	t.options.MaxMessage, t.maxBytes = tapMessage, -1
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return t, errors.New("the query cannot be read")
	}
	for name, values := range query {
		switch {
		case !slices.Contains(tapParameters, name):
			return t, fmt.Errorf("%.50q is no parameter of /v1/tap; there are %s", name, strings.Join(tapParameters, ", "))
		case len(values) > 1 && !strings.HasPrefix(name, "redact_"):
			return t, fmt.Errorf("%s is given more than once", name)
		}
		if err := t.set(name, values); err != nil {
			return t, err
		}
	}
	given := 0
	for _, set := range []bool{t.on.Endpoint != "", t.on.Connection != 0, t.on.Topic != ""} {
		if set {
			given++
		}
	}
	if given != 1 {
		return t, errors.New("say one of endpoint=NAME, connection=NUMBER and topic=TOPIC")
	}
	return t, t.redact.Check()
}

func (t *tapQuery) set(name string, values []string) (err error) {
	value := values[0]
	switch name {
	case "endpoint":
		t.on.Endpoint = value
	case "topic":
		if core.MatchesNothing(value) {
			return fmt.Errorf("topic: %.100q matches no topic", value)
		}
		t.on.Topic = value
	case "connection":
		if t.on.Connection, err = strconv.ParseUint(value, 10, 64); err != nil || t.on.Connection == 0 {
			return fmt.Errorf("%.50q is no number of a connection", value)
		}
	case "max_message":
		t.options.MaxMessage, err = tapNumber(name, "bytes", value)
	case "max_bytes":
		t.maxBytes, err = tapNumber(name, "bytes", value)
	case "every":
		t.options.Every, err = tapNumber(name, "messages", value)
	case "rate":
		t.options.PerSecond, err = tapNumber(name, "messages in a second", value)
	case "sample":
		share, wrong := strconv.ParseFloat(value, 64)
		if wrong != nil || !(share > 0 && share <= 1) || 1/share > math.MaxInt32 {
			return fmt.Errorf("sample must be a share, such as 0.01, not %.50q", value)
		}
		t.options.Every = max(t.options.Every, int(math.Round(1/share)))
	case "redact_key":
		t.redact.Keys = values
	case "redact_header":
		t.redact.Headers = values
	case "redact_topic":
		t.redact.Topics = values
	case "show":
		if value != "credentials" {
			return fmt.Errorf("show can be credentials, not %.50q", value)
		}
		t.credentials = true
	}
	return err
}

func tapNumber(name, of, value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s must be a number of %s, not %.50q", name, of, value)
	}
	return n, nil
}
