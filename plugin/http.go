package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"google.golang.org/grpc"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
	"github.com/polywire/polywire/plugin/codecpb"
	"github.com/polywire/polywire/plugin/contract"
)

// httpTimeout is how long a plugin may take for one request of plain HTTP.
const httpTimeout = 30 * time.Second

// HTTPFormat is a Format that answers plain HTTP beside its WebSocket.
type HTTPFormat struct{ *Format }

var _ core.RemoteFormat = (*HTTPFormat)(nil)

// Handler returns the handler for the endpoint's plain HTTP. Without a running plugin it
// answers 503.
func (f *HTTPFormat) Handler(p core.Publisher, stats *core.Stats) http.Handler {
	return &handler{format: f.Format, publisher: p, stats: stats}
}

// handler is static after construction.
type handler struct {
	format    *Format
	publisher core.Publisher
	stats     *core.Stats
}

// ServeHTTP passes the request to the plugin.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	limit := int64(h.format.profile.MaxMessage)
	if m := int64(h.format.request.GetMaxMessage()); m > 0 {
		limit = m
	}
	// One byte more, so that the plugin sees that the body is too big.
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		h.stats.Refused.Inc(core.ReasonLost)
		core.Refused(r.Context(), core.ReasonLost)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	answer, err := h.ask(r, body)
	if err != nil {
		h.format.log.Warn("plugin does not answer an HTTP request", logging.Bounded("", core.ReasonUnavailable.String()), slog.Any("error", err))
		h.stats.Refused.Inc(core.ReasonUnavailable)
		core.Refused(r.Context(), core.ReasonUnavailable)
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	for _, name := range answer.GetRefused() {
		reason, _ := contract.ReasonOf(name)
		h.stats.Refused.Inc(reason)
		core.Refused(r.Context(), reason)
	}
	for _, header := range answer.GetHeaders() {
		w.Header().Add(header.GetName(), header.GetValue())
	}
	w.WriteHeader(int(answer.GetStatus()))
	_, _ = w.Write(answer.GetBody())
}

var errNoProcess = errors.New("no process of the plugin runs")

// ask has the plugin answer one request, and publishes for it.
func (h *handler) ask(r *http.Request, body []byte) (*codecpb.HTTPResponse, error) {
	p := h.format.shards[0].current()
	if p == nil {
		return nil, errNoProcess
	}
	ctx, cancel := context.WithTimeout(r.Context(), httpTimeout)
	defer cancel()
	stream, err := p.codec.Serve(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening the request: %w", err)
	}
	request := &codecpb.HTTPFromHost{What: &codecpb.HTTPFromHost_Request{Request: messageOf(r, body)}}
	if err := stream.Send(request); err != nil {
		return nil, fmt.Errorf("sending the request: %w", err)
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return nil, fmt.Errorf("awaiting the response: %w", err)
		}
		if m.GetPublish() == nil {
			return checkResponse(m.GetResponse())
		}
		if err := h.publish(stream, m.GetPublish()); err != nil {
			return nil, err
		}
	}
}

func (h *handler) publish(stream grpc.BidiStreamingClient[codecpb.HTTPFromHost, codecpb.HTTPFromPlugin], m *codecpb.HTTPPublish) error {
	payload := core.Payload{Data: m.GetPayload().GetData(), UTF16: m.GetPayload().GetUtf16()}
	if kind := m.GetPayload().GetKind(); kind >= 0 && kind <= codecpb.PayloadKind_PAYLOAD_BINARY {
		payload.Kind = core.PayloadKind(kind)
	}
	if err := faultOf(&core.Command{Topic: m.GetTopic(), Payload: payload}); err != nil {
		return err
	}
	failure := h.publisher.Publish(m.GetTopic(), payload)
	published := &codecpb.Failure{Code: string(failure.Code), Text: failure.Text}
	if err := stream.Send(&codecpb.HTTPFromHost{What: &codecpb.HTTPFromHost_Published{Published: published}}); err != nil {
		return fmt.Errorf("telling what came of a publish: %w", err)
	}
	return nil
}

func messageOf(r *http.Request, body []byte) *codecpb.HTTPRequest {
	m := &codecpb.HTTPRequest{Method: r.Method, Target: r.RequestURI, Host: r.Host, Body: body, Remote: r.RemoteAddr}
	for name, values := range r.Header {
		for _, value := range values {
			m.Headers = append(m.Headers, &codecpb.HTTPHeader{Name: name, Value: value})
		}
	}
	return m
}

func checkResponse(m *codecpb.HTTPResponse) (*codecpb.HTTPResponse, error) {
	if status := m.GetStatus(); status < 200 || status > 599 {
		return nil, fmt.Errorf("%w: HTTP status %d", errNonsense, status)
	}
	return m, nil
}
