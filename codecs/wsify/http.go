package wsify

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

// Handler returns the handler for the plain HTTP of the endpoint: publishing with
//
//	POST <broadcast_path>?key=KEY
//	Content-Type: application/json
//
//	{"channel": string, "content": any}
//
// and the answers to everything else, with CORS for all origins. The content may also be in
// args, as in {"channel": string, "args": {"content": any}}. The authorizer is not asked;
// the key is the permission.
//
// The checks and their order are the original's (docs/formats/wsify.md, "POST /broadcast"); a
// publish that p refuses is answered with 403, or 503 if it may be tried again.
// What is refused here is counted in stats; p counts what it refuses itself.
// The handler may be used from any goroutine.
func (f *Format) Handler(p core.Publisher, stats *core.Stats) http.Handler {
	return &handler{
		path:      f.options.BroadcastPath,
		keySum:    sha256.Sum256([]byte(f.options.BroadcastingKey)),
		maxBody:   f.maxBody,
		publisher: p,
		stats:     stats,
		reading:   reading{limit: bodies * f.maxBody, grace: bodyGrace},
	}
}

type handler struct {
	// Static after construction.
	path      string
	keySum    [sha256.Size]byte
	maxBody   int64
	publisher core.Publisher
	stats     *core.Stats

	reading reading
}

// ServeHTTP adds the CORS header to every answer and finds out what is asked.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Add("Vary", "Origin")
	if r.Header.Get("Origin") != "" {
		header.Set("Access-Control-Allow-Origin", "*")
	}
	switch {
	case r.Method == http.MethodOptions:
		preflight(w, r)
	case h.path == "" || r.URL.Path != h.path:
		h.turnAway(w, r, http.StatusNotFound)
	case r.Method != http.MethodPost:
		header.Set("Allow", "OPTIONS, POST")
		h.turnAway(w, r, http.StatusMethodNotAllowed)
	default:
		status, reason := h.broadcast(w, r)
		if reason != core.ReasonNormal {
			h.stats.Refused.Inc(reason)
			core.Refused(r.Context(), reason)
		}
		w.WriteHeader(status)
	}
}

// preflight answers any OPTIONS request, on any path, as the original does.
func preflight(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	if r.Header.Get("Origin") != "" {
		header.Set("Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE")
		if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
			header.Set("Access-Control-Allow-Headers", asked)
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// turnAway answers a request that is neither a broadcast nor an upgrade.
func (h *handler) turnAway(w http.ResponseWriter, r *http.Request, status int) {
	h.stats.Rejected.Inc(core.ReasonHandshake)
	core.Refused(r.Context(), core.ReasonHandshake)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The client is gone if this fails; there is nobody to tell.
	_, _ = io.WriteString(w, `{"message":"`+http.StatusText(status)+"\"}\n")
}

// broadcast carries one broadcast out. reason says why it was refused. ReasonNormal means
// that it was not, or that the publisher has counted it.
func (h *handler) broadcast(w http.ResponseWriter, r *http.Request) (status int, reason core.Reason) {
	// Comparing digests takes the same time for keys of every length.
	key := sha256.Sum256([]byte(r.URL.Query().Get("key")))
	if subtle.ConstantTimeCompare(key[:], h.keySum[:]) != 1 {
		return http.StatusForbidden, core.ReasonDenied
	}
	const mediaType = "application/json"
	given := r.Header.Get("Content-Type")
	if !strings.EqualFold(given, mediaType) {
		return http.StatusUnsupportedMediaType, core.ReasonMalformed
	}
	b := h.reading.begin(w, r, h.maxBody)
	defer b.done()
	text, err := io.ReadAll(b)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, errBusy):
		w.Header().Set("Connection", "close")
		w.Header().Set("Retry-After", "1")
		return http.StatusServiceUnavailable, core.ReasonOverload
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, core.ReasonTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.Header().Set("Connection", "close")
		return http.StatusRequestTimeout, core.ReasonTimeout
	case err != nil:
		return http.StatusBadRequest, core.ReasonLost
	case len(text) == 0:
		// An empty broadcast reaches nobody.
		return http.StatusCreated, core.ReasonMalformed
	case given != mediaType:
		return http.StatusBadRequest, core.ReasonMalformed
	case !utf8.Valid(text):
		return http.StatusBadRequest, core.ReasonInvalidUTF8
	}
	return h.publish(text)
}

// publish publishes what body, which is UTF-8, says.
func (h *handler) publish(body []byte) (status int, reason core.Reason) {
	channel, content, err := readBroadcast(body)
	if err != nil {
		return http.StatusBadRequest, reasonOf(err)
	}
	if len(channel) == 0 {
		// Nobody can be in a channel without a name.
		return http.StatusCreated, core.ReasonMalformed
	}
	switch h.publisher.Publish(channel, payloadOf(content)).Code {
	case "":
		return http.StatusCreated, core.ReasonNormal
	case core.Overloaded, core.Shutdown:
		return http.StatusServiceUnavailable, core.ReasonNormal
	}
	return http.StatusForbidden, core.ReasonNormal
}

// errChannel: a body without a channel, or with one that is no string.
var errChannel = errors.New("channel is no string")

// readBroadcast parses a body. Field names match as in messages. A content of its own takes
// precedence over one in args. The channel is not trimmed; the content is its JSON text, nil
// if there is none.
func readBroadcast(body []byte) (channel, content []byte, err error) {
	var name, args []byte
	top := rawjson.Object(body)
	for top.Next() {
		switch {
		case top.KeyIs("channel"):
			name = top.Value()
		case top.KeyIs("content"):
			content = top.Value()
		case top.KeyIs("args"):
			args = top.Value()
		}
	}
	if top.Err() != nil {
		return nil, nil, top.Err()
	}
	channel, ok := rawjson.Unquote(name, nil)
	if !ok {
		return nil, nil, errChannel
	}
	if content == nil && rawjson.IsObject(args) {
		content, err = contentOf(args)
	}
	return channel, content, err
}

// contentOf returns the content in args, an object; nil if there is none.
func contentOf(args []byte) (content []byte, err error) {
	members := rawjson.Object(args)
	for members.Next() {
		if members.KeyIs("content") {
			content = members.Value()
		}
	}
	return content, members.Err()
}
