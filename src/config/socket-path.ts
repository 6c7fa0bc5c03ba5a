/** sun_path of Linux's struct sockaddr_un holds 108 bytes, the last of them NUL. */
export const MAX_SOCKET_PATH = 107;
