/** The bound of htpasswd. */
export const NAME_CHARACTERS_MAX = 255;
/**
 * Enough for the token of a program; htpasswd accepts 255 bytes, and bcrypt reads 72. Hashing takes time in proportion to
 * the length, apr1 a thousand times over and on the main thread, and an unauthenticated client chooses the length.
 */
export const PASSWORD_BYTES_MAX = 1024;

/** The characters first: counting the bytes of what may be a whole request head takes time as well. */
export const isPasswordTooLong = (password: string): boolean =>
  password.length > PASSWORD_BYTES_MAX || Buffer.byteLength(password) > PASSWORD_BYTES_MAX;

/** No user has such a name or such a password: wrong at once, which does not reveal which names exist. */
export const isTooLong = (username: string, password: string): boolean =>
  username.length > NAME_CHARACTERS_MAX || isPasswordTooLong(password);
