package network

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	"github.com/polywire/polywire/core"
)

// tapExchange reports an HTTP request that is no upgrade, and its answer. It is the ResponseWriter of
// the request's handler. The request is reported when its body is read: before that it has no effect.
type tapExchange struct {
	http.ResponseWriter
	tapped  *tapped
	request capture
	answer  capture // the body of the answer
	status  int     // 0 before WriteHeader
	asked   bool    // the request is reported
}

// capture keeps the first bytes of what is written to it.
type capture struct {
	bytes.Buffer
	max, size int
}

func (c *capture) take(b []byte) {
	c.size += len(b)
	c.Write(b[:min(len(b), max(0, c.max-c.Len()))])
}

// exchange begins to report a request, whose body is read through the result from now on.
func (t *Tap) exchange(w http.ResponseWriter, r *http.Request) *tapExchange {
	x := &tapExchange{ResponseWriter: w, tapped: t.admit(t.ep.server.NextNumber())}
	fmt.Fprintf(&x.request, "%s %s %s\r\nHost: %s\r\n", r.Method, r.RequestURI, r.Proto, r.Host)
	// A buffer does not fail.
	_ = r.Header.Write(&x.request)
	x.request.WriteString("\r\n")
	x.request.size = x.request.Len()
	x.request.max = x.request.Len() + t.max
	x.answer.max = t.max
	if r.ContentLength == 0 {
		x.reportRequest()
	} else {
		r.Body = &tapBody{r.Body, x}
	}
	return x
}

// tapBody is the body of a request that is reported.
type tapBody struct {
	io.ReadCloser
	x *tapExchange
}

func (b *tapBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.x.request.take(p[:n])
	if err != nil {
		b.x.reportRequest()
	}
	return n, err
}

func (x *tapExchange) reportRequest() {
	if !x.asked {
		x.asked = true
		x.tapped.report(core.TapEvent{Kind: core.TapRequest}, x.request.Bytes(), x.request.size)
	}
}

// Unwrap is for http.ResponseController.
func (x *tapExchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

func (x *tapExchange) WriteHeader(status int) {
	if x.status == 0 && status >= http.StatusOK {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *tapExchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	x.answer.take(b)
	return x.ResponseWriter.Write(b)
}

// end reports the answer. The handler has returned.
func (x *tapExchange) end() {
	x.reportRequest()
	if x.status == 0 {
		x.status = http.StatusOK
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", x.status, http.StatusText(x.status))
	_ = x.Header().Write(&b)
	b.WriteString("\r\n")
	head := b.Len()
	b.Write(x.answer.Bytes())
	x.tapped.report(core.TapEvent{Kind: core.TapResponse, FromServer: true}, b.Bytes(), head+x.answer.size)
	x.tapped.end(true)
}
