package sdk

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin/codecpb"
)

// httpFormat is a format that answers plain HTTP beside its WebSocket.
type httpFormat interface {
	Handler(core.Publisher, *core.Stats) http.Handler
}

// Serve answers one request of plain HTTP.
func (s *service) Serve(stream grpc.BidiStreamingServer[codecpb.HTTPFromHost, codecpb.HTTPFromPlugin]) error {
	format, err := s.described()
	if err != nil {
		return err
	}
	f, ok := format.(httpFormat)
	if !ok {
		return status.Error(codes.Unimplemented, "the format has no plain HTTP")
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	request, err := requestOf(first.GetRequest())
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	// The counts of this request go to the host, which has the counters.
	var stats core.Stats
	w := &response{header: http.Header{}}
	f.Handler(&publisher{stream: stream}, &stats).ServeHTTP(w, request.WithContext(stream.Context()))
	answer := w.message()
	for r := range core.NumReasons {
		for range stats.Refused[r].Load() {
			answer.Refused = append(answer.Refused, r.String())
		}
	}
	return stream.Send(&codecpb.HTTPFromPlugin{What: &codecpb.HTTPFromPlugin_Response{Response: answer}})
}

func requestOf(m *codecpb.HTTPRequest) (*http.Request, error) {
	target, err := url.ParseRequestURI(m.GetTarget())
	if err != nil {
		return nil, fmt.Errorf("reading the request target: %w", err)
	}
	r := &http.Request{
		Method: m.GetMethod(), URL: target, RequestURI: m.GetTarget(), Host: m.GetHost(), RemoteAddr: m.GetRemote(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		Body: io.NopCloser(bytes.NewReader(m.GetBody())), ContentLength: int64(len(m.GetBody())),
	}
	for _, h := range m.GetHeaders() {
		r.Header.Add(h.GetName(), h.GetValue())
	}
	return r, nil
}

// publisher publishes through the host.
type publisher struct {
	stream grpc.BidiStreamingServer[codecpb.HTTPFromHost, codecpb.HTTPFromPlugin]
}

// Publish publishes and awaits the outcome.
func (p *publisher) Publish(topic []byte, payload core.Payload) core.Failure {
	publish := &codecpb.HTTPPublish{Topic: topic, Payload: &codecpb.Payload{
		Kind: codecpb.PayloadKind(payload.Kind), Data: payload.Data, Utf16: payload.UTF16,
	}}
	err := p.stream.Send(&codecpb.HTTPFromPlugin{What: &codecpb.HTTPFromPlugin_Publish{Publish: publish}})
	if err != nil {
		return core.Failure{Code: core.Internal}
	}
	m, err := p.stream.Recv()
	if err != nil {
		return core.Failure{Code: core.Internal}
	}
	return core.Failure{Code: core.Code(m.GetPublished().GetCode()), Text: m.GetPublished().GetText()}
}

// response is an http.ResponseWriter that keeps what is written.
type response struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
}

func (w *response) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

func (w *response) message() *codecpb.HTTPResponse {
	w.WriteHeader(http.StatusOK)
	m := &codecpb.HTTPResponse{Status: uint32(w.status), Body: w.body.Bytes()}
	for name, values := range w.header {
		for _, value := range values {
			m.Headers = append(m.Headers, &codecpb.HTTPHeader{Name: name, Value: value})
		}
	}
	return m
}
