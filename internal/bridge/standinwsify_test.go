package bridge_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/gobwas/ws"
)

// wsifyOriginal stands in for the original of wsify.
type wsifyOriginal struct {
	process  *process
	channels map[string][]*caller // who joined twice is there twice
}

// wsifyState is what the original knows of a connection: its last message, over which the next one is laid.
type wsifyState struct {
	Command string         `json:"command"`
	Args    map[string]any `json:"args"`
	stuck   bool
}

func newWsify(p *process) original {
	return &wsifyOriginal{process: p, channels: make(map[string][]*caller)}
}

func (o *wsifyOriginal) traits() traits {
	return traits{maxMessage: 32 << 20, noMerging: true, always1000: true, path: "/ws", also: o.http}
}

func (o *wsifyOriginal) greets(c *caller) { c.state = &wsifyState{Args: make(map[string]any)} }

func (o *wsifyOriginal) takes(c *caller, _ ws.OpCode, message []byte) bool {
	s := c.state.(*wsifyState)
	if s.stuck {
		return true
	}
	// What cannot be parsed carries out the message before it once more.
	_ = json.Unmarshal(message, s)
	o.carryOut(c, s)
	return true
}

func (o *wsifyOriginal) carryOut(c *caller, s *wsifyState) {
	name, _ := s.Args["channel"].(string)
	name = strings.TrimSpace(name)
	switch {
	case name == "":
	case s.Command == "join":
		o.channels[name] = append(o.channels[name], c)
	case s.Command == "leave":
		i := slices.Index(o.channels[name], c)
		if i < 0 {
			s.stuck = true
			return
		}
		o.channels[name] = slices.Delete(slices.Clone(o.channels[name]), i, i+1)
	case s.Command == "broadcast":
		o.broadcast(name, s.Args["content"])
	}
}

// broadcast sends to all members, each on a goroutine of its own: the order is not kept.
func (o *wsifyOriginal) broadcast(name string, content any) {
	text, err := json.Marshal(content)
	if err != nil {
		return
	}
	for _, member := range o.channels[name] {
		o.process.serving.Go(func() { member.text(string(text)) })
	}
}

// parts carries out the last message again if the connection has broken off.
func (o *wsifyOriginal) parts(c *caller, err error) {
	s := c.state.(*wsifyState)
	if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		name, _ := s.Args["channel"].(string)
		if s.Command == "broadcast" && slices.Contains(o.channels[strings.TrimSpace(name)], c) {
			o.process.crash("a member broke off after a broadcast")
			return
		}
		o.carryOut(c, s)
	}
	for name, members := range o.channels {
		o.channels[name] = slices.DeleteFunc(slices.Clone(members), func(m *caller) bool { return m == c })
	}
}

// http answers POST /broadcast.
func (o *wsifyOriginal) http(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != "/broadcast":
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"message":"Not Found"}`)
		return
	case r.Method != http.MethodPost:
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	case r.URL.Query().Get("key") != "":
		w.WriteHeader(http.StatusForbidden)
		return
	case r.Header.Get("Content-Type") != "application/json":
		w.WriteHeader(http.StatusUnsupportedMediaType)
		return
	}
	var body struct {
		Channel string `json:"channel"`
		Content any    `json:"content"`
	}
	text, err := io.ReadAll(r.Body)
	if err == nil && len(text) > 0 {
		err = json.Unmarshal(text, &body)
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	o.process.handling.Lock()
	if !o.process.dead {
		o.process.taken = append(o.process.taken, said{message: string(text)})
		o.broadcast(body.Channel, body.Content)
	}
	o.process.handling.Unlock()
	w.WriteHeader(http.StatusCreated)
}
