// node scripts/node.js FILE [ARGUMENT...]: runs a program of the checkout on the Node that came with it, whatever Node is at hand.
import { isNewEnough, newerNode, runOn } from '../bin/newer-node.js';

runOn(isNewEnough() ? process.execPath : newerNode(), process.argv.slice(2));
