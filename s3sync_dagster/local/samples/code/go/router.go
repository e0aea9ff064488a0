// Package alarm sends alarms to the people who are on call.
package alarm

import (
	"errors"
	"sync"
	"time"
)

// Kind says what a station complains about.
type Kind string

const (
	NoData      Kind = "no_data"
	Position    Kind = "position"
	Battery     Kind = "battery"
	WaterInHull Kind = "water_in_hull"
)

// Answer within this time, or the alarm goes to the next person.
const AnswerWithin = 15 * time.Minute

// ErrNobody is returned when the whole chain has been called without an answer.
var ErrNobody = errors.New("alarm: nobody has answered")

// Person can be called.
type Person interface {
	Name() string
	Call(station string, kind Kind, within time.Duration) bool
}

// Router calls people in order and remembers which alarms are open.
type Router struct {
	mu    sync.Mutex
	chain []Person
	open  map[string]time.Time
}

// NewRouter takes the engineer on call first, then the second engineer, then operations.
func NewRouter(chain ...Person) *Router {
	return &Router{chain: chain, open: map[string]time.Time{}}
}

// Raise calls the chain until somebody answers, and returns who did.
// A second alarm of the same station and kind within an hour is dropped.
func (r *Router) Raise(station string, kind Kind) (string, error) {
	key := station + "/" + string(kind)
	r.mu.Lock()
	if since, known := r.open[key]; known && time.Since(since) < time.Hour {
		r.mu.Unlock()
		return "", nil
	}
	r.open[key] = time.Now()
	r.mu.Unlock()

	for _, person := range r.chain {
		if person.Call(station, kind, AnswerWithin) {
			return person.Name(), nil
		}
	}
	return "", ErrNobody
}
