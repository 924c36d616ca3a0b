package relay

import (
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"
)

// What clients can cause without end is told once a minute.
func TestRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		note := Rarely(func(text string) { told = append(told, text) })
		for i := range 90 {
			note(fmt.Sprint(i))
			time.Sleep(time.Second)
		}
		time.Sleep(rare)
		note("last")
		if want := []string{"0", "60 (and 59 times before)", "last (and 29 times before)"}; !reflect.DeepEqual(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}
