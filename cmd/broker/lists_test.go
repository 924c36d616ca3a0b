package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/core/coretest"
)

// The examples of the help list what clients have.
func TestExamplesOfLists(t *testing.T) {
	s := speak(t, "")
	sub := s.enter(t, "broker sub vws://127.0.0.1:8080/ws news/today")
	answer := s.enter(t, "broker answer wubsub://127.0.0.1:9190/ bots/echo --echo")
	topics := examples(t, newTopics(), 2)
	for _, tt := range []struct{ example, header, line string }{
		{examples(t, newEndpoints(), 1)[0], "ENDPOINT  PROTOCOL  URL ", "\nvws "},
		{topics[0], "TOPIC       PREFIX  NODE  SUBSCRIBERS  AT\n", "\nnews/today  -       -     1            vws (vws) 1\n"},
		{topics[1], "TOPIC       PREFIX  NODE  SUBSCRIBERS  AT\n", "\nnews/today  -       -     1            vws (vws) 1\n"},
		{examples(t, newChannels(), 1)[0], "CHANNEL  NODE  CONNECTION  ENDPOINT  USER  SERVICES\n", "\nbots     -     "},
		{examples(t, newServices(), 1)[0], "SERVICE    NODE  BY     PENDING  CONNECTIONS\n", "\nbots/echo  -     owner  0  "},
		{examples(t, newNodes(), 1)[0], "NODE  JOINED  CHANNELS  SERVICES  FROM  TO\n", ""},
		{examples(t, newSessions(), 2)[0], "SESSION  NODE  ENDPOINT  CREATED  CONNECTIONS\n", ""},
	} {
		coretest.Eventually(t, tt.example, func() bool {
			got := s.enter(t, tt.example).ends(t)
			return strings.HasPrefix(got, tt.header) && strings.Contains(got, tt.line)
		})
	}
	again := s.enter(t, examples(t, newSessions(), 2)[1])
	if err := coretest.Receive(t, "the end of the command", again.done); err == nil || !strings.Contains(again.text(), "no connection has a session") {
		t.Errorf("%v: %s", err, again.text())
	}
	var list polywire.TopicList
	if err := json.Unmarshal([]byte(s.enter(t, "broker topics --config config.yaml --limit 0 --json").ends(t)), &list); err != nil || list.Total != 1 || len(list.Topics) != 1 {
		t.Errorf("%v %+v", err, list)
	}
	for _, one := range []*typed{sub, answer} {
		one.stop()
		_ = coretest.Receive(t, "the end of the client", one.done)
	}
}
