package engine

import (
	"os"
	"testing"

	"github.com/google/uuid"
)

// TestMain does what the broker's program does when it starts.
func TestMain(m *testing.M) {
	uuid.EnableRandPool()
	os.Exit(m.Run())
}
