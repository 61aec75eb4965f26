package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

const patience = 60 * time.Second

var quick = os.Getenv("QUICK") != ""

// suite runs promises and says on standard output how each ended; see harness/suite.py for the form.
type suite struct {
	client       string
	match        *regexp.Regexp
	done         []string
	capabilities []string
}

func newSuite(client string) *suite {
	return &suite{
		client:       client,
		match:        regexp.MustCompile(os.Getenv("MATCH")),
		done:         strings.Split(os.Getenv("DONE"), ","),
		capabilities: strings.Split(os.Getenv("CAPABILITIES"), ","),
	}
}

func (s *suite) run(promise Promise, client Client) {
	if !s.match.MatchString(s.client+" "+promise.name) || slices.Contains(s.done, s.client+"/"+promise.name) {
		return
	}
	if why := client.Lacks(promise.name); why != "" {
		s.say("skip", promise.name, why)
		return
	}
	if promise.needs != "" && !slices.Contains(s.capabilities, promise.needs) {
		s.say("skip", promise.name, "the broker lacks "+promise.needs)
		return
	}
	s.say("start", promise.name)
	if err := attempt(promise, client); err != nil {
		s.say("fail", promise.name, err.Error())
	} else {
		s.say("pass", promise.name)
	}
}

func attempt(promise Promise, client Client) (err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("%v", caught)
			if _, expected := caught.(broken); !expected {
				debug.PrintStack()
			}
		}
	}()
	return promise.check(client)
}

func (s *suite) say(verdict, promise string, note ...string) {
	words := append([]string{"::" + verdict, s.client, promise}, note...)
	for i := range words {
		words[i] = strings.Join(strings.Fields(words[i]), " ")
	}
	fmt.Println(strings.Join(words, "\t"))
}

// broken is what a check panics with: deep in a promise there is nothing to do but to end it.
type broken string

func (b broken) Error() string { return string(b) }

func must(err error, what string) {
	if err != nil {
		panic(broken(what + ": " + err.Error()))
	}
}

func isTrue(truth bool, format string, arguments ...any) {
	if !truth {
		panic(broken(fmt.Sprintf(format, arguments...)))
	}
}

func equal(expected, got any, what string) {
	if !reflect.DeepEqual(expected, got) {
		panic(broken(fmt.Sprintf("%s: expected %s, got %s", what, brief(expected), brief(got))))
	}
}

// refused holds a call to being refused with Kafka's error code.
func refused(expected int16, err error, what string) {
	isTrue(err != nil, "%s was not refused", what)
	equal(expected, code(err), what+" ("+err.Error()+")")
}

// eventually waits for a condition, looking every few milliseconds.
func eventually(what string, condition func() bool) {
	deadline := time.Now().Add(patience)
	for !condition() {
		isTrue(time.Now().Before(deadline), "not within %s: %s", patience, what)
		time.Sleep(10 * time.Millisecond)
	}
}

func unique(stem string) string {
	return fmt.Sprintf("%s-%08x", stem, rand.Uint32())
}

// control asks for restart, stop, start or kill9; it returns when that is done and, if started, the broker answers.
func control(verb string) error {
	answer, err := http.Post(os.Getenv("BROKER_CONTROL")+"/"+verb, "", nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		words, _ := io.ReadAll(answer.Body)
		return errors.New("broker control " + verb + ": " + string(words))
	}
	return nil
}

func brief(value any) string {
	text := fmt.Sprintf("%v", value)
	if len(text) > 300 {
		return text[:300] + "…"
	}
	return text
}
