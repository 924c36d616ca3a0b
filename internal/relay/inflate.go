package relay

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"strings"
)

// inflater undoes the compression of one direction (RFC 7692). Owned by its dialog.
type inflater struct {
	max int
	// keeps: a message may refer to those before it.
	keeps  bool
	window []byte
	reader io.ReadCloser
}

const windowSize = 32 << 10

// tail ends a message, and then the stream, so that nobody waits for more.
var tail = []byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff}

// inflaters returns those of both directions for the extensions that a server has chosen; nil without
// compression.
func inflaters(chosen []string, max int) (client, server *inflater) {
	all := strings.ToLower(strings.Join(chosen, ","))
	if !strings.Contains(all, "permessage-deflate") {
		return nil, nil
	}
	return &inflater{max: max, keeps: !strings.Contains(all, "client_no_context_takeover")},
		&inflater{max: max, keeps: !strings.Contains(all, "server_no_context_takeover")}
}

// message returns what was compressed.
func (f *inflater) message(data []byte) ([]byte, error) {
	in := io.MultiReader(bytes.NewReader(data), bytes.NewReader(tail))
	if f.reader == nil {
		f.reader = flate.NewReaderDict(in, f.window)
	} else if err := f.reader.(flate.Resetter).Reset(in, f.window); err != nil {
		return nil, fmt.Errorf("inflating a message: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(f.reader, int64(f.max)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("inflating a message: %w", err)
	case len(out) > f.max:
		return nil, fmt.Errorf("a compressed message has more than %d bytes", f.max)
	}
	if f.keeps {
		f.window = append(f.window, out...)
		f.window = f.window[max(0, len(f.window)-windowSize):]
	}
	return out, nil
}
