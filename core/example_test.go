package core_test

import (
	"errors"
	"fmt"

	"github.com/polywire/polywire/core"
)

func ExampleSniff() {
	for _, data := range []string{`{"n":9007199254740993}`, "hello", "\xff"} {
		p := core.Sniff([]byte(data))
		fmt.Printf("%s\n", core.AppendJSON(nil, p))
	}
	// Output:
	// {"n":9007199254740993}
	// "hello"
	// {"$binary":"/w=="}
}

func ExampleFailure() {
	err := fmt.Errorf("asking the bot: %w", core.Failure{Code: core.Timeout, Text: "it is asleep"})
	if f, ok := errors.AsType[core.Failure](err); ok {
		fmt.Println(f.Code, "-", f.Text)
	}
	// Output: timeout - it is asleep
}

func ExampleMatchPattern() {
	for _, topic := range []string{"news/today", "news/today/sport", "weather"} {
		fmt.Println(core.MatchPattern("news/+", []byte(topic)), core.MatchPattern("news/#", []byte(topic)))
	}
	// Output:
	// true true
	// false true
	// false false
}
