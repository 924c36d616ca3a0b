package main

import (
	"context"
	"encoding/json"
	"log"
	"sync"

	"github.com/polywire/polywire/core"
)

// logger is the middleware of stocking's README. The code before next runs on the way down,
// the code after it on the way up; "done" and its channels are gone.
func logger(next core.Handler) core.Handler {
	return func(ctx context.Context, c core.Invocation) (core.Payload, error) {
		log.Printf("<-- [%v] %v, %s", c.Connection, c.Service, c.Payload.Data)
		answer, err := next(ctx, c)
		log.Printf("--> [%v] %v, %s, %v", c.Connection, c.Service, answer.Data, err)
		return answer, err
	}
}

// oneAtATime carries out one call at a time, as stocking does: routes may share data without
// a lock. A program whose routes do not need that leaves it out.
func oneAtATime() core.Interceptor {
	var mu sync.Mutex
	return func(next core.Handler) core.Handler {
		return func(ctx context.Context, c core.Invocation) (core.Payload, error) {
			mu.Lock()
			defer mu.Unlock()
			return next(ctx, c)
		}
	}
}

// traced writes its name into the calls of the route trace on their way down, and into
// the answers on their way up.
func traced(name string) core.Interceptor {
	return func(next core.Handler) core.Handler {
		return func(ctx context.Context, c core.Invocation) (core.Payload, error) {
			if c.Service != "trace" {
				return next(ctx, c)
			}
			c.Payload = appended(c.Payload, name+" down")
			answer, err := next(ctx, c)
			return appended(answer, name+" up"), err
		}
	}
}

// appended returns a JSON list of words with one more.
func appended(list core.Payload, word string) core.Payload {
	var words []string
	// What is no list is an empty one.
	_ = json.Unmarshal(list.Data, &words)
	data, _ := json.Marshal(append(words, word))
	return core.Payload{Kind: core.JSON, Data: data}
}
