// Holds a data folder's lock until it is killed: hold-lock.ts DATA
import { lockDataDir } from '../../src/store/open.ts';

lockDataDir(process.argv[2] as string);
console.log('held');
setInterval(() => {}, 1000);
