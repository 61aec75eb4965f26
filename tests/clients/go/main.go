// The promises through Go's clients: franz-go and sarama.
//
// Each promise is written once, in the words of Client; an adapter says what its client cannot do.
package main

import "os"

// A Promise is kept when it returns no error; `needs` names the capability a broker must have to make it.
type Promise struct {
	name  string
	needs string
	check func(Client) error
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "copy" {
		runCopier()
	}
	promises := []Promise{}
	for _, group := range [][]Promise{records, durability, groups, offsets, admins, refusals, text, transactions} {
		promises = append(promises, group...)
	}
	bootstrap := os.Getenv("BOOTSTRAP")
	for _, client := range []Client{newFranz(bootstrap), newSarama(bootstrap)} {
		suite := newSuite(client.Name())
		for _, promise := range promises {
			suite.run(promise, client)
		}
		client.Close()
	}
}
